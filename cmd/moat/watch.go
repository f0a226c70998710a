package main

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long files must be quiet before they are deployed: editors write in several steps.
const settle = 120 * time.Millisecond

func listenLoopback() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// watch deploys a template anew when a file below its folder is saved.
func (d *devSession) watch(ctx context.Context) (stop func(), err error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	for _, t := range d.templates {
		if err := watchTree(w, t.dir); err != nil {
			w.Close()
			return nil, fmt.Errorf("watch %s: %w", t.dir, err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.follow(ctx, w)
	}()
	return func() { w.Close(); <-done }, nil
}

// ignored are folders and files that are no source: dependencies, hidden and editors' own.
func ignored(name string) bool {
	return name == "node_modules" || name == "__pycache__" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp")
}

func watchTree(w *fsnotify.Watcher, root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		if path != root && ignored(e.Name()) {
			return filepath.SkipDir
		}
		return w.Add(path)
	})
}

// follow waits for changes to settle, then deploys.
func (d *devSession) follow(ctx context.Context, w *fsnotify.Watcher) {
	quiet := time.NewTimer(settle)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if ignored(filepath.Base(e.Name)) || e.Op == fsnotify.Chmod {
				continue
			}
			if e.Op.Has(fsnotify.Create) {
				_ = watchTree(w, e.Name) // a file has no tree: the error says no more than that
			}
			quiet.Reset(settle)
		case <-quiet.C:
			d.redeploy(ctx)
		}
	}
}

// redeploy deploys every template that changed and says what came of it. What was served
// stays served when a template is wrong.
func (d *devSession) redeploy(ctx context.Context) {
	for _, t := range d.templates {
		begun := time.Now()
		res, err := d.deploy(ctx, t)
		if ctx.Err() != nil {
			return
		}
		took := time.Since(begun).Milliseconds()
		switch {
		case err != nil:
			d.report("failed", t.stack, err.Error(), took)
		case res.Changed:
			d.report("deployed", t.stack, "", took)
		}
	}
}

func (d *devSession) report(event, stack, message string, ms int64) {
	d.lines.mu.Lock()
	defer d.lines.mu.Unlock()
	if d.app.json {
		_ = d.app.printJSON(map[string]any{"event": event, "stack": stack, "message": message, "ms": ms})
		return
	}
	stamp := d.palette.dim(time.Now().Format("15:04:05"))
	if message != "" {
		fmt.Fprintf(d.app.stdout, "%s  %s was not deployed; what is served stays as it was\n%s\n", stamp, stack, message)
		return
	}
	fmt.Fprintf(d.app.stdout, "%s  %s deployed anew in %d ms\n", stamp, stack, ms)
}
