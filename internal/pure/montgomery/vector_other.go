//go:build !amd64 || novector

package montgomery

// Available says whether processor and system have what the package needs.
func Available() bool { return false }

func twinProduct(_, _, _, _ *Twins, _ *[2]uint64) { panic("montgomery: no such processor") }

func twinChoose(_ *Twins, _ *[16]Twins, _, _ uint64) { panic("montgomery: no such processor") }

func product2048(_, _, _, _ *Number, _ uint64) { panic("montgomery: no such processor") }

func product3072(_, _, _, _ *Number, _ uint64) { panic("montgomery: no such processor") }

func choose(_ *Number, _ *[16]Number, _ uint64) { panic("montgomery: no such processor") }
