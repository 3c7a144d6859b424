"""What Sightline SEES with: vision tools, one typed declaration each, and their model back ends."""
