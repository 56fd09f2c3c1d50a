"""From a Head to pictures: rasterizer, maps, landmark dots."""
