"""Event files stay small, and TensorBoard shows all of them as one."""

from training.test_report import events as read

from afgan_jax.training import events


def test_a_full_file_is_followed_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "FULL", 200)
    run = type("Run", (), {"path": tmp_path})
    written = events.Events(tmp_path / "events", 0)
    for nimg in (4, 4, 8, 8, 12, 12):  # many files in a second
        written.write(nimg, scalars={f"a long name {i}": 1.0 for i in range(9)})
    written.close()
    assert len(list((tmp_path / "events").iterdir())) == 6
    shown: list[int] = []
    for event in read(run):
        if event.HasField("session_log"):
            assert not [step for step in shown if step >= event.step]  # else hidden
        elif event.HasField("summary"):
            shown.append(event.step)
    assert shown == [4, 4, 8, 8, 12, 12]
