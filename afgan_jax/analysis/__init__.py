"""What happens inside trained and untrained networks: numbers, and figures of them."""
