package main

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// machine says on what the figures were measured.
type machine struct {
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`
	MemoryMiB  int       `json:"memoryMiB"`
	System     string    `json:"system"`
	Kernel     string    `json:"kernel"`
	FileSystem string    `json:"fileSystem"` // of the data folder
	SyncMicros float64   `json:"syncMicros"` // median of appending 512 bytes and syncing them there
	Go         string    `json:"go"`         // that built the program
	Revision   string    `json:"revision,omitempty"`
	BinaryMiB  float64   `json:"binaryMiB"`
	Load       float64   `json:"load"`       // load average of the last minute before the run
	SignMicros []float64 `json:"signMicros"` // median of an RSA-2048 signature, before and after the run: how fast the processor was
	Steal      float64   `json:"steal"`      // per cent of the run that other machines on the host took away
	Date       time.Time `json:"date"`
}

func describeMachine(binary, dir string) (machine, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return machine{}, fmt.Errorf("%s cannot be read; build it with `make build`: %w", binary, err)
	}
	fi, err := os.Stat(binary)
	if err != nil {
		return machine{}, err
	}
	m := machine{
		CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), System: strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`),
		Kernel: firstLine("/proc/sys/kernel/osrelease"), FileSystem: fileSystem(dir), Go: info.GoVersion,
		BinaryMiB: float64(fi.Size()) / (1 << 20), Date: time.Now().UTC().Truncate(time.Second),
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			m.Revision = s.Value[:min(12, len(s.Value))]
		}
	}
	kib, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " ")
	total, _ := strconv.Atoi(kib)
	m.MemoryMiB = total / 1024
	load, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	m.Load, _ = strconv.ParseFloat(load, 64)
	m.SyncMicros, err = syncTime(dir)
	return m, err
}

// speed is the yardstick for every CPU figure: what one RSA-2048 signature takes at this
// hour, in microseconds. On a shared host it differs from run to run.
func speed() (float64, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return 0, err
	}
	digest := make([]byte, 32)
	var took []float64
	for range 100 {
		began := time.Now()
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(began).Nanoseconds())/1000)
	}
	slices.Sort(took)
	return quantile(took, 0.5), nil
}

// stolen reads how many ticks of the machine there were, and how many of them other
// machines on the same host took (proc_stat(5)).
func stolen() (steal, all float64) {
	f := strings.Fields(firstLine("/proc/stat"))
	for i, text := range f {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || i > 8 {
			continue // the name, and guest time, which is counted already
		}
		all += n
		if i == 8 {
			steal = n
		}
	}
	return steal, all
}

// field reads "name : value" or "name=value" from a file; "" if it is not there.
func field(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		if key, value, ok := strings.Cut(strings.Replace(in.Text(), "=", ":", 1), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// fileSystem names the type of the file system that holds a folder.
func fileSystem(dir string) string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return ""
	}
	kind, longest := "", -1
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		if rel, err := filepath.Rel(f[1], dir); err == nil && !strings.HasPrefix(rel, "..") && len(f[1]) >= longest {
			kind, longest = f[2], len(f[1])
		}
	}
	return kind
}

// syncTime is what the disk costs anybody who wants to be sure: the floor below every
// durable write of one connection.
func syncTime(dir string) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 512)
	var took []float64
	for range 200 {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(began).Nanoseconds())/1000)
	}
	slices.Sort(took)
	return quantile(took, 0.5), nil
}
