"""Operations on run folders: train, resume, evaluate, compare, diagnose, export and the other commands."""
