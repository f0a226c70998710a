package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"os"
	"slices"
)

// drawGateway draws the CPU per request of all contenders as bars, when a file for it was named.
func (b *bench) drawGateway(all []*contender) error {
	if b.picture == "" {
		return nil
	}
	bars := make([]bar, len(all))
	for i, c := range all {
		var cpu []float64
		for _, o := range c.rounds {
			cpu = append(cpu, o.cpuMicros())
		}
		slices.Sort(cpu)
		_, other := c.meter.(*peer)
		bars[i] = bar{c.name, quantile(cpu, 0.5), !other}
	}
	slices.SortStableFunc(bars, func(a, b bar) int { return cmp.Compare(a.value, b.value) })
	return os.WriteFile(b.picture, draw("CPU of the proxy per request, microseconds (less is better)", bars), 0o644)
}

// bar is one line of a picture; ours are drawn in another colour.
type bar struct {
	name  string
	value float64
	ours  bool
}

// draw writes horizontal bars as SVG. Its colours can be read on light and dark pages.
func draw(title string, bars []bar) []byte {
	const width, left, right, line = 860, 300, 60, 24
	longest := 1.0
	for _, b := range bars {
		longest = max(longest, b.value)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13">`+"\n", width, 44+line*len(bars))
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="#fff"/><text x="12" y="24" font-size="15" font-weight="600">%s</text>`+"\n", html.EscapeString(title))
	for i, b := range bars {
		y := 38 + line*i
		colour := "#a8b3c1"
		if b.ours {
			colour = "#1763b6"
		}
		w := b.value / longest * (width - left - right)
		fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
			left-8, y+15, html.EscapeString(b.name), left, y+2, w, line-7, colour, float64(left)+w+6, y+15, number(b.value))
	}
	out.WriteString("</svg>\n")
	return out.Bytes()
}
