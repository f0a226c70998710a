//go:build !novector

package montgomery

// twinProduct sets z to x * y / 2^1040 modulo m, of both numbers. k is -1/m modulo 2^52. The
// result is less than x * y / 2^1040 + m; z may be x or y.
//
//go:noescape
func twinProduct(z, x, y *Twins, m *Twins, k *[2]uint64)

// twinChoose sets z to the i-th first and the j-th second number of a table, of which it reads all.
//
//go:noescape
func twinChoose(z *Twins, table *[16]Twins, i, j uint64)

// product2048 sets z to x * y / 2^2080 modulo m, in 40 digits; k is -1/m modulo 2^52. z may be x or y.
//
//go:noescape
func product2048(z, x, y, m *Number, k uint64)

// product3072 sets z to x * y / 2^3120 modulo m, in 60 digits.
//
//go:noescape
func product3072(z, x, y, m *Number, k uint64)

// choose sets z to the i-th entry of a table, of which it reads all.
//
//go:noescape
func choose(z *Number, table *[16]Number, i uint64)

func cpuid(eax, ecx uint32) (ebx, ecxOut uint32)

func xgetbv() (eax uint32)

// Available says whether processor and system have what the package needs: AVX-512 with its 52-bit
// multipliers (IFMA). It asks the processor, which a virtual machine answers slowly: ask once.
func Available() bool {
	const (
		osxsave       = 1 << 27 // leaf 1, ECX
		avx512f, ifma = 1 << 16, 1 << 21
		states        = 0b1110_0110 // XCR0: SSE, AVX, the three of AVX-512
	)
	if _, c := cpuid(1, 0); c&osxsave == 0 || xgetbv()&states != states {
		return false
	}
	b, _ := cpuid(7, 0)
	return b&avx512f != 0 && b&ifma != 0
}
