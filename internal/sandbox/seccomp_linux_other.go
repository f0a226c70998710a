//go:build linux && !amd64 && !arm64

package sandbox

const (
	auditArch  = 0
	foreignBit = 0
)

func archCalls() []uintptr { return nil }
