package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"moat/internal/server"
)

// minMetricsToken is the shortest token that nobody guesses.
const minMetricsToken = 20

// readMetricsToken reads the token of monitoring; without a file there is none.
func readMetricsToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the token of monitoring cannot be read: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if len(token) < minMetricsToken || strings.ContainsAny(token, " \t\r\n") {
		return "", usagef("--metrics-token-file %s does not hold one word of at least %d characters", file, minMetricsToken)
	}
	return token, nil
}

func newMetrics(a *app) *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "Show how many requests the deployed APIs had, and what became of them",
		Long: `Shows the counts of each stage, and of each method with detailed metrics, since the program began:
requests, errors, mean latencies in milliseconds, and what the response cache answered. Each node of an
installation counts for itself. Whoever asks needs cloudwatch:GetMetricData.

Monitoring reads the same at /_moat/metrics in the text format of Prometheus, signed or with the token of
` + "`moat serve --metrics-token-file FILE`" + ` (authorization: {credentials_file: FILE}).

  moat metrics --endpoint https://moat.example.com`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out server.MetricsAnswer
			if err := flags.client(a).rest(cmd.Context(), "moat", http.MethodGet, server.MetricsPath, nil, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			return a.printMetrics(&out)
		},
	}
	flags.register(cmd)
	return cmd
}

func (a *app) printMetrics(out *server.MetricsAnswer) error {
	if len(out.APIs) == 0 {
		fmt.Fprintln(a.stdout, "No API is deployed.")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REGION\tAPI\tSTAGE\tMETHOD\tREQUESTS\t4XX\t5XX\tLATENCY\tINTEGRATION\tCACHE HITS")
	for i := range out.APIs {
		m := &out.APIs[i]
		method := "*"
		if m.Method != "" {
			method = m.Method + " " + m.Resource
		}
		hits := "-"
		if n := m.CacheHits + m.CacheMisses; n > 0 {
			hits = fmt.Sprintf("%d of %d", m.CacheHits, n)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%.1f ms\t%.1f ms\t%s\n", m.Region, visible(m.Name)+" ("+m.API+")", visible(m.Stage), visible(method),
			m.Count, m.Error4XX, m.Error5XX, m.LatencyMS, m.IntegrationMS, hits)
	}
	return w.Flush()
}
