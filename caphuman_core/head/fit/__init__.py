"""From a photo to a head: landmarks, DECA, the photo's light."""
