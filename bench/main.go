// Command bench measures Moat as its users meet it: the built binary, as a process of its
// own, over HTTP on loopback. It prints one table per question, with the machine they
// were measured on; docs/performance.md explains them.
//
// Everything is bounded in count and in time, and nothing but loopback is reached.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run of the benchmarks.
type bench struct {
	binary, example string // bin/moat and the example's template
	dir             string // scratch folder on a real disk, removed at the end
	starts          int    // starts per figure
	million         bool   // measure among a million users and keys, too
	picture         string // file for a picture of the gateway's figures
	progress        io.Writer
	report          report
}

// chapter is a part of a run that can be chosen by name. Those that want a running
// server share one.
type chapter struct {
	name  string
	alone func(context.Context, *bench) error
	on    func(context.Context, *bench, *rig) error
}

func chapters() []chapter {
	return []chapter{
		{name: "start", alone: measureStarts},
		{name: "signin", on: measureSignIns},
		{name: "users", alone: measureUsers},
		{name: "assume", on: measureAssumeRole},
		{name: "gateway", on: measureGateway},
		{name: "function", on: measureFunctions},
		{name: "keys", alone: measureKeys},
		{name: "writes", on: measureWrites},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	b := &bench{progress: stderr}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&b.binary, "binary", "bin/moat", "the program to measure")
	flags.StringVar(&b.example, "example", "examples/courses/template.yaml", "the template to start with")
	flags.IntVar(&b.starts, "starts", 15, "starts per figure")
	flags.BoolVar(&b.million, "million", false, "let the chapters users and keys go on to a million of them: some minutes each, and 3 GB")
	flags.StringVar(&b.picture, "picture", "", "file for a picture of the gateway's figures (SVG)")
	proxy := flags.String("proxy", "", "be Go's reverse proxy on this address and nothing else: the gateway's chapter starts it")
	behind := flags.String("backend", "", "where -proxy forwards to")
	scratch := flags.String("dir", "bench/out", "folder for data; it must be on the disk that is meant")
	only := flags.String("only", "", "chapters to run, separated by commas: start, signin, users, assume, gateway, function, keys, writes")
	asJSON := flags.Bool("json", false, "print JSON instead of tables")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *proxy != "" {
		return serveReverseProxy(ctx, *proxy, *behind)
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if err := b.prepare(*scratch); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if err := b.measure(ctx, chosen); err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(b.report)
	}
	return b.report.print(stdout)
}

func choose(only string) ([]chapter, error) {
	all := chapters()
	if only == "" {
		return all, nil
	}
	var chosen []chapter
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(c chapter) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no chapter %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// prepare makes the scratch folder and describes machine and program.
func (b *bench) prepare(scratch string) error {
	var err error
	for _, path := range []*string{&b.binary, &b.example, &scratch} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(scratch, "run-"); err != nil {
		return err
	}
	b.report.Machine, err = describeMachine(b.binary, b.dir)
	return err
}

// measure runs the chapters, and watches the machine meanwhile.
func (b *bench) measure(ctx context.Context, chosen []chapter) error {
	flushDisks()
	before, err := speed()
	if err != nil {
		return err
	}
	began := time.Now()
	steal, all := stolen()
	if err := b.runChapters(ctx, chosen); err != nil {
		return err
	}
	b.report.Seconds = time.Since(began).Seconds()
	stealNow, allNow := stolen()
	b.report.Machine.Steal = 100 * (stealNow - steal) / max(allNow-all, 1)
	after, err := speed()
	b.report.Machine.SignMicros = []float64{before, after}
	return err
}

func (b *bench) runChapters(ctx context.Context, chosen []chapter) (err error) {
	var r *rig
	defer func() {
		if r != nil {
			r.stop()
		}
	}()
	for _, c := range chosen {
		fmt.Fprintf(b.progress, "%s ...\n", c.name)
		began := time.Now()
		if c.alone != nil {
			err = c.alone(ctx, b)
		} else {
			if r == nil {
				if r, err = b.newRig(ctx); err != nil {
					return err
				}
			}
			err = c.on(ctx, b, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Fprintf(b.progress, "%s: %.1f s\n", c.name, time.Since(began).Seconds())
	}
	return nil
}
