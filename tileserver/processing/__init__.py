"""What is done to bands between their reading and their drawing."""
