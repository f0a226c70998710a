package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// report is everything that a run has found.
type report struct {
	Machine machine `json:"machine"`
	Groups  []group `json:"groups"`
	Seconds float64 `json:"seconds"` // how long the run took
}

// group answers one question; it is one table.
type group struct {
	Title string `json:"title"`
	How   string `json:"how"` // what was done, in a sentence
	Rows  []row  `json:"rows"`
}

type row struct {
	Name    string   `json:"name"`
	Figures []figure `json:"figures"`
	Target  *target  `json:"target,omitempty"`
}

type figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"`
	Value float64 `json:"value"`
}

// target is a bound that a figure is to stay below.
type target struct {
	Figure string  `json:"figure"`
	Below  float64 `json:"below"`
	Unit   string  `json:"unit"`
	Met    bool    `json:"met"`
}

// below sets the row's target by one of its figures.
func (r row) below(name string, limit float64) row {
	for _, f := range r.Figures {
		if f.Name == name {
			r.Target = &target{name, limit, f.Unit, f.Value < limit}
		}
	}
	return r
}

// print writes the report as Markdown tables, aligned for a terminal.
func (r *report) print(w io.Writer) error {
	m := r.Machine
	table := [][]string{{"machine", ""},
		{"processor", fmt.Sprintf("%s, %d cores", m.CPU, m.Cores)},
		{"speed", fmt.Sprintf("an RSA-2048 signature took %s us before the run and %s us after it; %s %% of the time was stolen by other machines", number(m.SignMicros[0]), number(m.SignMicros[1]), number(m.Steal))},
		{"memory", fmt.Sprintf("%d MiB", m.MemoryMiB)},
		{"system", m.System + ", Linux " + m.Kernel},
		{"disk", fmt.Sprintf("%s; append of 512 bytes and sync: %s us", m.FileSystem, number(m.SyncMicros))},
		{"program", strings.TrimSpace(fmt.Sprintf("%s MiB, built by %s %s", number(m.BinaryMiB), m.Go, m.Revision))},
		{"date", m.Date.Format("2006-01-02 15:04 UTC") + ", load before the run " + number(m.Load)},
	}
	if _, err := io.WriteString(w, markdown(table)); err != nil {
		return err
	}
	for _, g := range r.Groups {
		if _, err := fmt.Fprintf(w, "\n### %s\n\n%s\n\n%s", g.Title, g.How, markdown(g.table())); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nThe run took %.0f s.\n", r.Seconds)
	return err
}

// table makes columns of the figures' names, in the order in which they first occur.
func (g *group) table() [][]string {
	var columns []string
	targets := false
	for _, r := range g.Rows {
		targets = targets || r.Target != nil
		for _, f := range r.Figures {
			if c := f.column(); !slices.Contains(columns, c) {
				columns = append(columns, c)
			}
		}
	}
	head := append([]string{""}, columns...)
	if targets {
		head = append(head, "target")
	}
	table := [][]string{head}
	for _, r := range g.Rows {
		line := make([]string, len(head))
		line[0] = r.Name
		for _, f := range r.Figures {
			line[1+slices.Index(columns, f.column())] = number(f.Value)
		}
		if t := r.Target; t != nil {
			verdict := "missed"
			if t.Met {
				verdict = "met"
			}
			line[len(line)-1] = fmt.Sprintf("< %s %s: %s", number(t.Below), t.Unit, verdict)
		}
		table = append(table, line)
	}
	return table
}

func (f *figure) column() string {
	if f.Unit == "" {
		return f.Name
	}
	return f.Name + ", " + f.Unit
}

// number writes counts as they are, and else three significant digits, but never fewer
// than the digits before the point.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func markdown(table [][]string) string {
	widths := make([]int, len(table[0]))
	for _, line := range table {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, line := range table {
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 || n == 0 || !numeric(cell) {
				b.WriteString("| " + cell + pad + " ")
			} else {
				b.WriteString("| " + pad + cell + " ")
			}
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range widths {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

func numeric(cell string) bool {
	_, err := strconv.ParseFloat(cell, 64)
	return err == nil
}
