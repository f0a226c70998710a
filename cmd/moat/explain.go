package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/server"
	"moat/internal/service/trail"
	"moat/internal/wire"
)

func newExplain(a *app) *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "explain REQUEST-ID",
		Short: "Say who asked what in a request, and what decided",
		Long: `Shows an AWS call or a request to a deployed API: who made it, what it asked for, which step
ended it, and the policy that decided; of a refusal also each statement that was looked at. The id
stands in every answer (x-amzn-requestid) and in the lines of ` + "`moat dev`" + `. Whoever asks needs
cloudtrail:LookupEvents; what a deployed API let in is read from its access log (logs:FilterLogEvents).

  moat explain 3f0c6a52-6d2e-4f0e-9a53-0a4c1c0f9d11`,
		Args: exactArgs("a request id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out server.Explanation
			if err := flags.client(a).own(cmd.Context(), "/_moat/explain/"+url.PathEscape(args[0]), &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			a.printExplanation(out)
			return nil
		},
	}
	flags.register(cmd)
	return cmd
}

// own asks one of Moat's own addresses, signed.
func (c *client) own(ctx context.Context, path string, out any) error {
	return c.rest(ctx, "moat", http.MethodGet, path, nil, out)
}

func (a *app) printExplanation(x server.Explanation) {
	makeVisible(&x)
	p := newPalette(a.stdout, a.getenv)
	for i := range x.Events {
		e := &x.Events[i]
		if i == 1 {
			fmt.Fprintf(a.stdout, "\n%s\n", p.bold("What services did for it"))
		}
		if i > 0 {
			fmt.Fprintf(a.stdout, "  %s  %s\n", p.status(e.AdditionalEventData.Status), explainWhat(e))
			continue
		}
		explainEvent(a.stdout, p, e)
	}
}

func explainEvent(w io.Writer, p palette, e *trail.Event) {
	d := &e.AdditionalEventData
	fmt.Fprintf(w, "%s\n", p.bold("Request "+e.RequestID))
	who := explainWho(&e.UserIdentity)
	if e.SourceIPAddress != "" {
		who += " from " + e.SourceIPAddress
	}
	rows := [][2]string{{"when", explainWhen(e)}, {"who", who}, {"what", explainWhat(e)}}
	for _, r := range e.Resources {
		rows = append(rows, [2]string{"on", r.ARN})
	}
	answer := p.status(d.Status)
	if e.ErrorCode != "" {
		answer += " " + e.ErrorCode + ": " + e.ErrorMessage
	}
	rows = append(rows, [2]string{"answer", answer}, [2]string{"ended by", explainStep(e)})
	if n := len(d.Decisions); n > 0 {
		for _, k := range d.Decisions {
			rows = append(rows, [2]string{"decision", explainDecision(&k)})
		}
	}
	table(w, p, rows)
	for i := range d.Decisions {
		explainConsidered(w, p, &d.Decisions[i])
	}
}

func explainWhen(e *trail.Event) string {
	at, err := time.Parse(time.RFC3339, e.EventTime)
	if err != nil {
		return e.EventTime
	}
	return at.UTC().Format("2006-01-02 15:04:05 UTC") + ", " + e.AWSRegion
}

func explainWho(i *trail.Identity) string {
	who := i.ARN
	switch {
	case i.Type == "Unknown" && i.PrincipalID == "Anonymous":
		who = "nobody who proved it"
	case who == "" && i.PrincipalID != "":
		who = i.PrincipalID
	case who == "" && i.InvokedBy != "":
		who = i.InvokedBy
	case who == "":
		who = "nobody who proved it"
	}
	if i.AccessKeyID != "" {
		who += " (access key " + i.AccessKeyID + ")"
	}
	return who
}

func explainWhat(e *trail.Event) string {
	d := &e.AdditionalEventData
	if d.Kind != wire.KindAWS && d.Method != "" {
		what := d.Method + " " + d.Path
		if d.Route != "" {
			what += " (route " + d.Route + ")"
		}
		return what
	}
	return strings.TrimSuffix(e.EventSource, ".amazonaws.com") + " " + e.EventName
}

// explainStep names the step that ended the request, with its grounds where no decision says more.
func explainStep(e *trail.Event) string {
	d := &e.AdditionalEventData
	step := "the step " + d.Step
	if d.Step == "encode" || d.Step == "respond" {
		step = "its answer: every step let it through"
	}
	if d.Grounds != "" && len(d.Decisions) == 0 {
		step += ": " + d.Grounds
	}
	return step
}

func explainDecision(d *trail.Decision) string {
	verb := map[string]string{"allowed": "allowed", "explicitDeny": "refused by a Deny", "implicitDeny": "refused: nothing allows it"}[d.Result]
	s := fmt.Sprintf("%s  %s", d.Action, verb)
	if d.Policy != "" {
		s += fmt.Sprintf("  (%s, policy %s, statement %s)", d.Kind, d.Policy, d.Statement)
	} else if d.Kind != "" {
		s += "  (no " + d.Kind + ")"
	}
	if d.Condition != "" {
		s += "; it would without the condition " + d.Condition
	}
	if len(d.Missing) > 0 {
		s += "; the request lacks " + strings.Join(d.Missing, ", ")
	}
	return s
}

// explainConsidered lists the statements that were looked at for a refusal: those that match first,
// then those that nearly did. Of those about other actions the number is enough.
func explainConsidered(w io.Writer, p palette, d *trail.Decision) {
	if d.Result == "allowed" {
		return
	}
	fmt.Fprintf(w, "\n%s\n", p.bold("Looked at for "+d.Action+" on "+d.Resource))
	others := 0
	var near []trail.Considered
	for _, c := range d.Considered {
		if c.Failed == "action" {
			others++
			continue
		}
		near = append(near, c)
	}
	slices.SortStableFunc(near, func(a, b trail.Considered) int { return rank(&a) - rank(&b) })
	for i := range near {
		c := &near[i]
		fmt.Fprintf(w, "  %-28s %-5s %-32s %s\n", c.Kind, c.Effect, c.Policy+" / "+c.Statement, explainVerdict(p, c))
	}
	switch {
	case len(d.Considered) == 0:
		fmt.Fprintln(w, "  no statement of any policy")
	case others == 1:
		fmt.Fprintln(w, "  1 statement about other actions")
	case others > 1:
		fmt.Fprintf(w, "  %d statements about other actions\n", others)
	}
}

// rank puts what decided first.
func rank(c *trail.Considered) int {
	switch {
	case c.Matched && c.Effect == "Deny":
		return 0
	case c.Matched:
		return 1
	}
	return 2
}

func explainVerdict(p palette, c *trail.Considered) string {
	verdict := "does not match: " + c.Failed
	switch {
	case c.Matched && c.Effect == "Deny":
		verdict = p.wrap("31", "DENIES, and so decides")
	case c.Matched:
		verdict = "allows"
	case c.Condition != "":
		verdict = "does not match: condition " + c.Condition
	}
	if len(c.Missing) > 0 {
		verdict += " (the request lacks " + strings.Join(c.Missing, ", ") + ")"
	}
	return verdict
}
