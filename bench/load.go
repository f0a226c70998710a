package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is work to be done over keep-alive connections, bounded in count and in time.
type load struct {
	conns, count int
	limit        time.Duration
	settle       time.Duration              // what the server does this long afterwards counts, too: it logs
	before       func() error               // comes first, and is not measured; may be nil
	do           func(c *conn, i int) error // i counts from 0 to count-1, each once
}

// outcome is what a load has cost. Its CPU time is the server's alone.
type outcome struct {
	count     int
	wall, cpu time.Duration
	took      []float64 // microseconds of each piece of work, sorted
}

// then is what pieces cost that are done in two loads, one step of each in either. Their times are added rank by rank.
func (o outcome) then(next outcome) outcome {
	if o.count == 0 || next.count == 0 {
		return next
	}
	share := float64(next.count) / float64(o.count)
	next.wall += time.Duration(share * float64(o.wall))
	next.cpu += time.Duration(share * float64(o.cpu))
	for i := range next.took {
		next.took[i] += quantile(o.took, float64(i)/float64(len(next.took)))
	}
	return next
}

// run does a load against a process.
func (l load) run(ctx context.Context, p meter, address string) (outcome, error) {
	conns := make([]*conn, l.conns)
	for i := range conns {
		c, err := dial(address)
		if err != nil {
			return outcome{}, err
		}
		defer c.Close()
		conns[i] = c
	}
	before, err := p.cpu()
	if err != nil {
		return outcome{}, err
	}
	began := time.Now()
	o, err := l.spread(ctx, conns, began.Add(l.limit))
	o.wall = time.Since(began)
	time.Sleep(l.settle)
	after, cpuErr := p.cpu()
	o.cpu = after - before
	return o, errors.Join(err, cpuErr)
}

// spread lets each connection take the next piece of work until none is left.
func (l load) spread(ctx context.Context, conns []*conn, until time.Time) (outcome, error) {
	var next atomic.Int64
	var all sync.WaitGroup
	took, errs := make([][]float64, len(conns)), make([]error, len(conns))
	for n, c := range conns {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				at := time.Now()
				if i >= l.count || at.After(until) || ctx.Err() != nil {
					return
				}
				if errs[n] = l.do(c, i); errs[n] != nil {
					next.Store(int64(l.count)) // the others end, too
					return
				}
				took[n] = append(took[n], float64(time.Since(at).Nanoseconds())/1000)
			}
		})
	}
	all.Wait()
	var o outcome
	for _, t := range took {
		o.took = append(o.took, t...)
	}
	o.count = len(o.took)
	slices.Sort(o.took)
	err := errors.Join(errs...)
	if err == nil && o.count == 0 {
		err = errors.Join(ctx.Err(), errors.New("nothing was done in the time given"))
	}
	return o, err
}

// rate is pieces per second of wall time.
func (o *outcome) rate() float64 { return float64(o.count) / o.wall.Seconds() }

// cpuMicros is the server's CPU time per piece.
func (o *outcome) cpuMicros() float64 {
	return float64(o.cpu.Nanoseconds()) / 1000 / float64(o.count)
}

// perCore is how many pieces a second of one core pays for.
func (o *outcome) perCore() float64 { return 1e6 / o.cpuMicros() }

// quantile of sorted values; 0 of none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// conn is a keep-alive connection that sends prepared requests. It understands as much
// of HTTP/1.1 as the answers need and costs little, because it shares the machine with
// what it measures.
type conn struct {
	net.Conn
	in   *bufio.Reader
	body []byte // of the last answer; valid until the next
}

func dial(address string) (*conn, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReaderSize(c, 16<<10)}, nil
}

// exchange sends a request and reads its answer, which must have the given status.
func (c *conn) exchange(request []byte, want int) ([]byte, error) {
	status, err := c.send(request)
	if err != nil {
		return nil, err
	}
	if status != want {
		line, _, _ := bytes.Cut(request, []byte("\r\n"))
		return nil, fmt.Errorf("%s answered %d instead of %d: %.300s", line, status, want, c.body)
	}
	return c.body, nil
}

func (c *conn) send(request []byte) (status int, err error) {
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("%q is no status line", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, fmt.Errorf("%q is no status line", line)
	}
	length, chunked, err := c.header()
	if err != nil {
		return 0, err
	}
	c.body = c.body[:0]
	if !chunked {
		return status, c.take(length)
	}
	return status, c.takeChunks()
}

// line reads a line without its end.
func (c *conn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// header reads how long the body is.
func (c *conn) header() (length int, chunked bool, err error) {
	for {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return length, chunked, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == 14 && strings.EqualFold(string(name), "content-length"):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, false, err
			}
		case len(name) == 17 && strings.EqualFold(string(name), "transfer-encoding"):
			chunked = true
		}
	}
}

func (c *conn) take(n int) error {
	at := len(c.body)
	c.body = slices.Grow(c.body, n)[:at+n]
	_, err := io.ReadFull(c.in, c.body[at:])
	return err
}

func (c *conn) takeChunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(line), 16, 32)
		if err != nil {
			return err
		}
		if err := c.take(int(n)); err != nil {
			return err
		}
		if _, err := c.line(); err != nil || n == 0 {
			return err
		}
	}
}
