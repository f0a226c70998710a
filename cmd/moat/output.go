package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// printJSON writes v as one line of JSON.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// fail prints why a command failed: one sentence, or an object with --json.
func (a *app) fail(code int, msg string) {
	if a.json {
		enc := json.NewEncoder(a.stderr)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(map[string]any{"event": "error", "message": msg, "exitCode": code})
		return
	}
	fmt.Fprintf(a.stderr, "moat: %s\n", visible(msg))
}

// palette colours text on a terminal and leaves it alone elsewhere (NO_COLOR is honoured).
type palette struct{ on bool }

func newPalette(w io.Writer, getenv func(string) string) palette {
	f, ok := w.(*os.File)
	if !ok || getenv("NO_COLOR") != "" || getenv("TERM") == "dumb" {
		return palette{}
	}
	info, err := f.Stat()
	return palette{on: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p palette) wrap(code, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p palette) bold(s string) string { return p.wrap("1", s) }
func (p palette) dim(s string) string  { return p.wrap("2", s) }

// status colours a status code by its class.
func (p palette) status(code int) string {
	s := fmt.Sprintf("%d", code)
	switch {
	case code >= 500:
		return p.wrap("31", s)
	case code >= 400:
		return p.wrap("33", s)
	}
	return p.wrap("32", s)
}

// table prints rows of label and value, values aligned.
func table(w io.Writer, p palette, rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		fmt.Fprintf(w, "  %s%s  %s\n", p.dim(r[0]), strings.Repeat(" ", width-len(r[0])), r[1])
	}
}

// sortedRows are the rows of a map in the order of its keys.
func sortedRows(m map[string]string) [][2]string {
	rows := make([][2]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		rows = append(rows, [2]string{k, m[k]})
	}
	return rows
}
