"""Where pixels lie: CRSs, extents, outlines, positions."""
