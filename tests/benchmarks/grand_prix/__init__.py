"""tileserver beside other tile servers, event by event, in one run on one machine."""
