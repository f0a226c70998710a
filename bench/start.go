package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// settle is how long a server is left alone before its memory is read.
const settle = 5 * time.Second

// measureStarts answers how long one waits, and what an idle server holds.
func measureStarts(ctx context.Context, b *bench) error {
	g := group{
		Title: "Time to ready",
		How:   "`moat dev --json`, from exec to the line that says ready; the data folder is empty unless said otherwise.",
	}
	empty, err := b.ready(ctx, b.starts, nil, nil)
	if err != nil {
		return err
	}
	g.Rows = append(g.Rows, startRow("no template", empty).below("median", 150))
	again, err := b.readyAgain(ctx, b.starts)
	if err != nil {
		return err
	}
	g.Rows = append(g.Rows, startRow("no template, folder in use before", again))
	if _, err := b.ready(ctx, 1, nil, []string{b.example}); err != nil { // fills the build cache if it must
		return err
	}
	courses, err := b.ready(ctx, b.starts, nil, []string{b.example})
	if err != nil {
		return err
	}
	g.Rows = append(g.Rows, startRow("examples/courses", courses).below("median", 300))
	idle, err := b.measureIdle(ctx)
	if err != nil {
		return err
	}
	// Caches of its own, so that everything is compiled. It comes last: what it writes keeps the disk busy.
	cache := []string{"GOCACHE=" + filepath.Join(b.dir, "gocache"), "XDG_CACHE_HOME=" + filepath.Join(b.dir, "cache")}
	first, err := b.ready(ctx, 1, cache, []string{b.example})
	if err != nil {
		return err
	}
	g.Rows = append(g.Rows, startRow("examples/courses, its first build", first))
	b.report.Groups = append(b.report.Groups, g, idle)
	err = errors.Join(os.RemoveAll(filepath.Join(b.dir, "gocache")), os.RemoveAll(filepath.Join(b.dir, "cache")))
	flushDisks()
	return err
}

func startRow(name string, millis []float64) row {
	return row{Name: name, Figures: []figure{
		{"starts", "", float64(len(millis))}, {"median", "ms", quantile(millis, 0.5)}, {"min", "ms", millis[0]}, {"max", "ms", millis[len(millis)-1]},
	}}
}

// ready starts n times with a fresh folder each and gives the sorted milliseconds.
func (b *bench) ready(ctx context.Context, n int, env, templates []string) ([]float64, error) {
	var millis []float64
	for range n {
		dir, err := os.MkdirTemp(b.dir, "data-")
		if err != nil {
			return nil, err
		}
		ms, err := b.readyOnce(ctx, dir, env, templates)
		if err != nil {
			return nil, err
		}
		millis = append(millis, ms)
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	slices.Sort(millis)
	return millis, nil
}

// readyAgain starts n times with one folder that a start before has filled.
func (b *bench) readyAgain(ctx context.Context, n int) ([]float64, error) {
	dir, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var millis []float64
	for range n + 1 {
		ms, err := b.readyOnce(ctx, dir, nil, nil)
		if err != nil {
			return nil, err
		}
		millis = append(millis, ms)
	}
	millis = millis[1:]
	slices.Sort(millis)
	return millis, nil
}

func (b *bench) readyOnce(ctx context.Context, dir string, env, templates []string) (float64, error) {
	p, err := b.startDev(ctx, dir, env, templates)
	if err != nil {
		return 0, err
	}
	p.stop()
	return float64(p.ready.Microseconds()) / 1000, nil
}

func (b *bench) startDev(ctx context.Context, dir string, env, templates []string) (*process, error) {
	args := append([]string{"dev", "--json", "--listen", "127.0.0.1:0", "--data", dir}, templates...)
	return b.start(ctx, readyJSON, env, args...)
}

// measureIdle reads the memory of a server that has nothing to do.
func (b *bench) measureIdle(ctx context.Context) (group, error) {
	g := group{
		Title: "Idle memory",
		How:   "`moat dev`, " + settle.String() + " after ready, from /proc/PID/smaps_rollup; functions that have not been called do not run.",
	}
	for _, c := range []struct {
		name      string
		templates []string
	}{{"no template", nil}, {"examples/courses", []string{b.example}}} {
		dir, err := os.MkdirTemp(b.dir, "data-")
		if err != nil {
			return g, err
		}
		r, err := b.idle(ctx, c.name, dir, c.templates)
		if err != nil {
			return g, err
		}
		g.Rows = append(g.Rows, r.below("RSS", 80))
	}
	return g, nil
}

func (b *bench) idle(ctx context.Context, name, dir string, templates []string) (row, error) {
	p, err := b.startDev(ctx, dir, nil, templates)
	if err != nil {
		return row{}, err
	}
	defer p.stop()
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return row{}, ctx.Err()
	}
	r := row{Name: name}
	for _, f := range []struct{ name, key string }{{"RSS", "Rss"}, {"PSS", "Pss"}, {"anonymous", "Anonymous"}} {
		mib, err := p.memory(f.key)
		if err != nil {
			return row{}, err
		}
		r.Figures = append(r.Figures, figure{f.name, "MiB", mib})
	}
	return r, nil
}
