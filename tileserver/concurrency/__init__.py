"""Threads, queues, deadlines and retries that every package uses."""
