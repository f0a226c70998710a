package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"moat/internal/server"
	"moat/internal/service/iam"
)

func newPolicyCan(a *app) *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "can PRINCIPAL [ACTION [RESOURCE]]",
		Short: "Say what a user or role may do",
		Long: `Answers over the live policies: those of the user with its groups, or of the role, its boundary,
the account's guardrails, and the policy of the resource where it has one (a role, a function, an
API). What depends on the call, such as its address, is told as a condition. Without an action it
lists what the principal may do, by service, on the resources that its policies name.

A principal is a name, user/NAME, role/NAME, root or an ARN. The caller must be allowed
iam:SimulatePrincipalPolicy on it; what the policy of a resource says is told to who may read that
policy. The exit code is 1 when the answer is no.

  moat policy can ada
  moat policy can role/deploy lambda:UpdateFunctionCode arn:aws:lambda:us-east-1:000000000000:function:api`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("`%s` needs a user or a role; see `%s --help`", cmd.CommandPath(), cmd.CommandPath())
			case len(args) > 3:
				return usagef("`%s` takes no %q; see `%s --help`", cmd.CommandPath(), args[3], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			args = append(args, "", "")
			return a.policyCan(cmd.Context(), flags.client(a), server.PolicyQuestion{Principal: args[0], Action: args[1], Resource: args[2]})
		},
	}
	flags.register(cmd)
	return cmd
}

func newPolicyWhoCan(a *app) *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "who-can ACTION RESOURCE",
		Short: "Say who may do something",
		Long: `Lists every user, role, service, identity provider and other account that may do an action on a
resource, by which statement, and under which conditions. Policies of resources count where they
exist: trust policies of roles, policies of functions and of APIs (as defined now, deployed or not).
The caller must be allowed iam:SimulatePrincipalPolicy on *. The exit code is 1 when nobody can.

  moat policy who-can ssm:GetParameter arn:aws:ssm:us-east-1:000000000000:parameter/courses/key
  moat policy who-can sts:AssumeRole arn:aws:iam::000000000000:role/deploy`,
		Args: exactArgs("an action", "a resource"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.policyWhoCan(cmd.Context(), flags.client(a), server.PolicyQuestion{Action: args[0], Resource: args[1]})
		},
	}
	flags.register(cmd)
	return cmd
}

// askPolicy asks the server a question about policies.
func (c *client) askPolicy(ctx context.Context, q server.PolicyQuestion) (out server.PolicyAnswer, err error) {
	if q.Action != "" && !strings.Contains(q.Action, ":") {
		return out, usagef("%q is not an action such as ssm:GetParameter", q.Action)
	}
	body, err := json.Marshal(q)
	if err != nil {
		return out, err
	}
	err = c.rest(ctx, "moat", http.MethodPost, "/_moat/policy", body, &out)
	var refused *apiError
	if errors.As(err, &refused) && refused.Code == "" { // a sentence for a person already
		return out, &exitError{exitRefused, errors.New(refused.Message)}
	}
	return out, err
}

// errNo ends a command whose answer is no: it has been printed.
func errNo() error { return &exitError{exitFailed, errors.New("")} }

func (a *app) policyCan(ctx context.Context, c *client, q server.PolicyQuestion) error {
	out, err := c.askPolicy(ctx, q)
	if err != nil {
		return err
	}
	no := out.Answer == nil && len(out.May) == 0 || out.Answer != nil && out.Answer.Answer == iam.No
	switch {
	case a.json:
		err = a.printJSON(out)
	case out.Answer != nil:
		a.printMay(out)
	default:
		a.printAllowances(out)
	}
	if err == nil && no {
		return errNo()
	}
	return err
}

func (a *app) printMay(out server.PolicyAnswer) {
	makeVisible(&out)
	what := fmt.Sprintf("%s may do %s on %s", shortARN(out.Principal), out.Action, out.Resource)
	switch out.Answer.Answer {
	case iam.Yes:
		fmt.Fprintf(a.stdout, "Yes, %s.\n", what)
	case iam.When:
		fmt.Fprintf(a.stdout, "It depends whether %s.\n", what)
	default:
		fmt.Fprintf(a.stdout, "No: %s\n", out.Answer.Because)
		return
	}
	p := newPalette(a.stdout, a.getenv)
	var rows [][2]string
	for _, g := range out.Answer.By {
		rows = append(rows, [2]string{"by", grantText(g)})
	}
	for _, w := range out.Answer.When {
		rows = append(rows, [2]string{"when", w})
	}
	for _, u := range out.Answer.Unless {
		rows = append(rows, [2]string{"unless", u})
	}
	table(a.stdout, p, rows)
}

func grantText(g iam.Grant) string {
	text := g.Policy
	if g.Of != "" {
		text += " of " + g.Of
	}
	if g.Statement != "" { // of a policy that the caller may not read
		text += ", " + g.Statement
	}
	if len(g.When) > 0 {
		text += ", when " + strings.Join(g.When, " and ")
	}
	return text
}

// shortARN is an ARN without what is the same for all of the account.
func shortARN(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && parts[2] == "iam" {
		return parts[5]
	}
	return arn
}

// maxNamed is how many actions a line names.
const maxNamed = 4

func (a *app) printAllowances(out server.PolicyAnswer) {
	makeVisible(&out)
	if len(out.May) == 0 {
		fmt.Fprintf(a.stdout, "%s may do nothing that exists here.\n", shortARN(out.Principal))
		return
	}
	fmt.Fprintf(a.stdout, "%s may\n\n", shortARN(out.Principal))
	var rows [][]string
	for _, m := range out.May {
		what := strings.Join(m.Actions[:min(len(m.Actions), maxNamed)], ", ")
		if m.Actions[0] == "*" {
			what = fmt.Sprintf("everything (%d actions)", m.Of)
		} else if more := len(m.Actions) - maxNamed; more > 0 {
			what += fmt.Sprintf(" and %d more of %d", more, m.Of)
		}
		rest := "on " + m.Resource
		if len(m.When) > 0 {
			rest += ", when " + strings.Join(m.When, " and ")
		}
		if len(m.Unless) > 0 {
			rest += ", unless " + strings.Join(m.Unless, " or ")
		}
		rows = append(rows, []string{m.Service, what, rest})
	}
	columns(a.stdout, rows)
}

func (a *app) policyWhoCan(ctx context.Context, c *client, q server.PolicyQuestion) error {
	out, err := c.askPolicy(ctx, q)
	if err != nil {
		return err
	}
	if a.json {
		if out.Who == nil {
			out.Who = []iam.Answer{}
		}
		err = a.printJSON(map[string]any{"action": out.Action, "resource": out.Resource, "who": out.Who})
	} else {
		a.printWho(out)
	}
	if err == nil && len(out.Who) == 0 {
		return errNo()
	}
	return err
}

func (a *app) printWho(out server.PolicyAnswer) {
	makeVisible(&out)
	if len(out.Who) == 0 {
		fmt.Fprintf(a.stdout, "Nobody can do %s on %s.\n", out.Action, out.Resource)
		return
	}
	fmt.Fprintf(a.stdout, "%s on %s\n\n", out.Action, out.Resource)
	var rows [][]string
	for _, who := range out.Who {
		grants := make([]string, len(who.By))
		for i, g := range who.By {
			grants[i] = grantText(g)
		}
		text := strings.Join(grants, "; or ")
		if len(who.When) > 0 {
			text += ", when " + strings.Join(who.When, " and ")
		}
		if len(who.Unless) > 0 {
			text += ", unless " + strings.Join(who.Unless, " or ")
		}
		rows = append(rows, []string{shortOwn(who.Principal), text})
	}
	columns(a.stdout, rows)
}

// shortOwn shortens users and roles; the root of another account keeps its account.
func shortOwn(arn string) string {
	if short := shortARN(arn); strings.HasPrefix(short, "user/") || strings.HasPrefix(short, "role/") {
		return short
	}
	return arn
}

// columns prints rows with every column but the last one aligned.
func columns(w io.Writer, rows [][]string) {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len(cell))
		}
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			if line += "  " + cell; i < len(row)-1 {
				line += strings.Repeat(" ", width[i]-len(cell))
			}
		}
		fmt.Fprintln(w, line)
	}
}
