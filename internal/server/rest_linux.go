package server

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// releaseProgram lets go of the pages of the program's own file: most were needed once, at the
// start. They stay in the system's cache, whence each comes back when it is touched, at the
// cost of a minor fault. Where that cannot be done it is not done.
func releaseProgram() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, m := range cleanMappings(bufio.NewScanner(f), self) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
	}
}

type mapping struct{ from, to uintptr }

// cleanMappings lists, of smaps (proc(5)), the private mappings of a file of which nothing can
// be lost: they are not to be written, and have no page that differs from the file's. A linker
// or a debugger may have made such pages.
func cleanMappings(smaps *bufio.Scanner, file string) []mapping {
	var out []mapping
	var at mapping
	for smaps.Scan() {
		f := strings.Fields(smaps.Text())
		switch {
		case len(f) >= 2 && strings.HasSuffix(f[0], ":"):
			if f[0] == "Anonymous:" && f[1] == "0" && at.to != 0 {
				out = append(out, at)
			}
		case len(f) >= 5:
			at = mapping{}
			if len(f) == 6 && f[5] == file && f[1][0] == 'r' && f[1][1] == '-' && f[1][3] == 'p' {
				from, to, _ := strings.Cut(f[0], "-")
				a, err := strconv.ParseUint(from, 16, 64)
				b, err2 := strconv.ParseUint(to, 16, 64)
				if err == nil && err2 == nil && a < b {
					at = mapping{uintptr(a), uintptr(b)}
				}
			}
		}
	}
	return out
}
