package moattest

import (
	"os"
	"testing"

	"moat/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.RunShim(os.Args) // returns unless this process is to become a function
	os.Exit(m.Run())
}
