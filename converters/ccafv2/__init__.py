"""ccAFv2's cell-cycle phases: converted by whoever accepts its license, shipped by nobody."""
