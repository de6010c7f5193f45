"""What tests share: a way to run real tasks and triggers in this process, on time that tests move."""
