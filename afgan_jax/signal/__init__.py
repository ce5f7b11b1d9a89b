"""Sampling theory on arrays: filters, resampling, filtered nonlinearities, warps."""
