"""A potential judged for diffusion: errors, structure, D and barriers beside the reference's own."""
