"""Computing with arrays: batches of equal lengths, one array a value or one array a pixel."""
