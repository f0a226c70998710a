package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Bounds of the loads of this chapter. A region holds 10,000 standard parameters.
const (
	writeCount = 4000
	writeTime  = 4 * time.Second
)

// measureWrites answers how fast a write is that survives the power cord.
func measureWrites(ctx context.Context, b *bench, r *rig) error {
	g := group{
		Title: "Durable writes",
		How:   "Signed `PutParameter` of a new name with 512 bytes; each is on disk before it is answered (SQLite, synced; concurrent ones share a commit). CPU is the server's alone.",
	}
	for _, conns := range []int{1, 32} {
		writes, err := r.putParameters(fmt.Sprintf("/bench/%d/", conns), writeCount)
		if err != nil {
			return err
		}
		o, err := load{conns: conns, count: writeCount, limit: writeTime, do: func(c *conn, i int) error {
			_, err := c.exchange(writes[i], http.StatusOK)
			return err
		}}.run(ctx, r.process, r.address)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%d connections", conns)
		if conns == 1 {
			name = "1 connection"
		}
		g.Rows = append(g.Rows, row{Name: name, Figures: []figure{
			{"writes", "", float64(o.count)}, {"rate", "1/s", o.rate()}, {"p50", "ms", quantile(o.took, 0.5) / 1000}, {"p99", "ms", quantile(o.took, 0.99) / 1000},
			{"CPU", "us", o.cpuMicros()}, {"per core", "1/s", o.perCore()},
		}})
	}
	b.report.Groups = append(b.report.Groups, g)
	return nil
}

// putParameters signs the requests before the measuring begins.
func (r *rig) putParameters(prefix string, n int) ([][]byte, error) {
	header := http.Header{"X-Amz-Target": {"AmazonSSM.PutParameter"}, "Content-Type": {"application/x-amz-json-1.1"}}
	value := strings.Repeat("x", 512)
	out := make([][]byte, n)
	for i := range out {
		body, err := json.Marshal(map[string]string{"Name": fmt.Sprintf("%s%05d", prefix, i), "Type": "String", "Value": value})
		if err != nil {
			return nil, err
		}
		out[i] = request{method: http.MethodPost, path: "/", header: header, body: body}.signed(r.host, "ssm", r.aws.credentials)
	}
	return out, nil
}
