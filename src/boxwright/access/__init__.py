"""Who is calling, and what they may do; the API servers get it handed in.

decide  lets calls pass, or not
"""
