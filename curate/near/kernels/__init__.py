"""Compiled loops (numba), one file per subject.

Arrays named `at` or `*_at` are offsets as in Arrow: the values of entry i are
`values[at[i] : at[i + 1]]`.
"""
