package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"moat/internal/server"
	"moat/internal/wire"
)

// requestLines prints one line per request: time, method, path, status, who, deciding step, milliseconds.
type requestLines struct {
	app     *app
	palette palette
	mu      sync.Mutex
	muted   bool // while nothing but Moat's own set-up calls arrive
}

// requestEvent is the line of a request with --json.
type requestEvent struct {
	Event     string  `json:"event"`
	Time      string  `json:"time"`
	RequestID string  `json:"requestId"`
	Kind      string  `json:"kind"`
	Method    string  `json:"method"`
	Path      string  `json:"path"`
	Operation string  `json:"operation,omitempty"`
	Status    int     `json:"status"`
	Who       string  `json:"who"`
	Step      string  `json:"step"`
	Grounds   string  `json:"grounds,omitempty"`
	Error     string  `json:"error,omitempty"`
	Millis    float64 `json:"ms"`
}

// begin prints what comes before all lines, and then lets them be printed: none of a request that
// comes in that moment is lost or stands in front of it.
func (l *requestLines) begin(first func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.muted = false
	return first()
}

func (l *requestLines) print(r wire.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.muted {
		return
	}
	who := r.Who
	if who == "" {
		who = "nobody"
	}
	ms := float64(r.Latency.Microseconds()) / 1000
	if l.app.json {
		_ = l.app.printJSON(requestEvent{
			Event: "request", Time: r.Time.UTC().Format(time.RFC3339Nano), RequestID: r.RequestID, Kind: r.Kind, Method: r.Method, Path: r.Path,
			Operation: operation(r), Status: r.Status, Who: who, Step: r.Step, Grounds: r.Grounds, Error: r.ErrorCode, Millis: ms,
		})
		return
	}
	what := shortPath(r.Path)
	if op := operation(r); op != "" {
		what = op
	}
	p := l.palette
	line := fmt.Sprintf("%s  %-6s %-32s %s  %-30s %-14s %7.1f ms", p.dim(r.Time.Local().Format("15:04:05")), r.Method, what, p.status(r.Status), shortWho(who), r.Step, ms)
	if why := reason(r); r.Status >= 400 && why != "" {
		line += "  " + p.dim(why)
	}
	if r.Status >= 400 && r.RequestID != "" {
		line += "\n" + p.dim("          why: "+l.app.name+" explain "+r.RequestID)
	}
	fmt.Fprintln(l.app.stdout, line)
}

// messageEvent is the line of a message with --json.
type messageEvent struct {
	Event string `json:"event"`
	server.Message
}

// message prints one line for a message that is kept instead of sent: medium, to whom, what
// for, and the code, link or password in it.
func (l *requestLines) message(m server.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.muted {
		return
	}
	if l.app.json {
		_ = l.app.printJSON(messageEvent{"message", m})
		return
	}
	secret := "code " + m.Code
	switch {
	case m.Link != "":
		secret = m.Link
	case m.Password != "":
		secret = "password " + m.Password
	}
	fmt.Fprintf(l.app.stdout, "%s  %-6s %-32s %s\n", l.palette.dim(m.Time.Local().Format("15:04:05")), m.Medium, m.Trigger+" to "+m.To, secret)
}

// reason says why a request was refused: the grounds of the deciding step, or the service's own
// sentence where the call was let in and the service refused it.
func reason(r wire.Record) string {
	if r.Kind == wire.KindAWS && r.Step == "call" && r.ErrorMessage != "" {
		return r.ErrorMessage
	}
	return r.Grounds
}

// operation names an AWS call; a request to a deployed API has none.
func operation(r wire.Record) string {
	if r.Kind != wire.KindAWS || r.Operation == "" {
		return ""
	}
	return r.Service + " " + r.Operation
}

// shortPath leaves out of the address of a deployed API what is the same in every line.
func shortPath(path string) string {
	if _, rest, ok := strings.Cut(path, "/_user_request_"); ok && strings.HasPrefix(path, "/restapis/") && rest != "" {
		return rest
	}
	return path
}

// shortWho leaves out of an ARN what is the same in every line.
func shortWho(who string) string {
	if i := strings.LastIndexByte(who, ':'); strings.HasPrefix(who, "arn:") && i >= 0 {
		return strings.TrimPrefix(who[i+1:], "assumed-role/")
	}
	return who
}
