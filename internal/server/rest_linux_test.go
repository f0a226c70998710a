package server

import (
	"bufio"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestCleanMappings(t *testing.T) {
	t.Parallel()
	const smaps = `00400000-0171c000 r-xp 00000000 fe:00 1                                /opt/moat
Size:              19568 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
0171c000-02b64000 r--p 0131c000 fe:00 1                                /opt/moat
Anonymous:             4 kB
02b64000-02c3a000 rw-p 02764000 fe:00 1                                /opt/moat
Anonymous:             0 kB
02c3a000-02c3b000 r--s 02764000 fe:00 1                                /opt/moat
Anonymous:             0 kB
02c3b000-02c3c000 r--p 00000000 fe:00 2                                /opt/other
Anonymous:             0 kB
02c3c000-02c3d000 r--p 00000000 fe:00 1                                /opt/moat (deleted)
Anonymous:             0 kB
02c3d000-02c3e000 r--p 00000000 00:00 0 
Anonymous:             0 kB
02c3e000-02c3f000 r--p 00000000 fe:00 1                                /opt/moat
Anonymous:             0 kB
7ffd11856000-7ffd11858000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0x171c000}, {0x2c3e000, 0x2c3f000}}
	if got := cleanMappings(bufio.NewScanner(strings.NewReader(smaps)), "/opt/moat"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestReleaseProgram(t *testing.T) {
	before := programPages(t)
	releaseProgram()
	if after := programPages(t); after >= before {
		t.Errorf("%d KiB of the program are resident, %d before", after, before)
	}
}

// programPages gives how much of the program's own file is resident in the process, in KiB. The file may
// lie on a disk or in memory: /proc/self/status counts the two apart.
func programPages(t *testing.T) int {
	t.Helper()
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	sum, own := 0, false
	for line := range strings.Lines(string(smaps)) {
		switch f := strings.Fields(line); {
		case len(f) >= 5 && !strings.HasSuffix(f[0], ":"):
			own = len(f) == 6 && f[5] == self
		case own && len(f) == 3 && f[0] == "Rss:":
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}
