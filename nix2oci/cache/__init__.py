"""What a build keeps for the next one: layers, and facts about store paths."""
