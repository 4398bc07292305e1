"""What becomes of the timesteps of control data."""
