"""The shell: the library's steps as Dagster assets, jobs and runs. No maths here, and no dagster outside."""
