"""Loading models and naming their parts."""
