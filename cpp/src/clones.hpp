// Functions compiled twice, of which the machine's is chosen when the program starts.  Loops that this is put
// on are laid out for vector registers by hand and nothing in them is fused: both give the same bits.
#pragma once

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define IONSTRIDE_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define IONSTRIDE_CLONES
#endif
