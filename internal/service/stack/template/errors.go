package template

import (
	"fmt"
	"sort"
	"strings"
)

// Error is a mistake in a template: where it stands and what was expected there.
type Error struct {
	Pos       Pos
	LogicalID string // "" outside Resources
	Property  string // path below the resource, "Properties.Policies.0.PolicyName"
	Message   string // what is wrong and what was expected

	// Sentence is what CloudFormation says for the same mistake; "" when it has no
	// sentence of its own, then Message serves.
	Sentence string
	// NotBuilt marks what CloudFormation knows and Moat does not: answered 501.
	NotBuilt bool
}

func (e *Error) Error() string {
	var b strings.Builder
	if s := e.Pos.String(); s != "" {
		b.WriteString(s + ": ")
	}
	if e.LogicalID != "" {
		b.WriteString(e.LogicalID + ": ")
	}
	if e.Property != "" {
		b.WriteString(e.Property + ": ")
	}
	msg := e.Message
	if msg == "" {
		msg = e.Sentence
	}
	b.WriteString(msg)
	return b.String()
}

// AWS returns the sentence for the caller of the CloudFormation API.
func (e *Error) AWS() string {
	if e.Sentence != "" {
		return e.Sentence
	}
	return "Template error: " + e.Error()
}

// Errors are all mistakes of a template, in the order of the file.
type Errors []*Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the errors sorted by place, or nil when there are none.
func (es Errors) Err() error {
	if len(es) == 0 {
		return nil
	}
	sort.SliceStable(es, func(i, j int) bool {
		a, b := es[i].Pos, es[j].Pos
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return es
}

func formatError(pos Pos, format string, args ...any) *Error {
	msg := fmt.Sprintf(format, args...)
	return &Error{Pos: pos, Message: msg, Sentence: "Template format error: " + msg}
}

func validationError(pos Pos, format string, args ...any) *Error {
	msg := fmt.Sprintf(format, args...)
	return &Error{Pos: pos, Message: msg, Sentence: "Template validation error: " + msg}
}

func templateError(pos Pos, format string, args ...any) *Error {
	msg := fmt.Sprintf(format, args...)
	return &Error{Pos: pos, Message: msg, Sentence: "Template error: " + msg}
}

func notBuilt(pos Pos, format string, args ...any) *Error {
	return &Error{Pos: pos, Message: fmt.Sprintf(format, args...), NotBuilt: true}
}

// suggest returns the candidate nearest to a mistyped name, or "".
func suggest(name string, candidates []string) string {
	best, bestDistance := "", 1+len(name)/3
	for _, c := range candidates {
		if strings.EqualFold(c, name) {
			return c
		}
		if d := distance(strings.ToLower(name), strings.ToLower(c), bestDistance); d < bestDistance+1 && d <= bestDistance {
			if best == "" || d < bestDistance {
				best, bestDistance = c, d
			}
		}
	}
	return best
}

// distance is the Levenshtein distance; more than limit+1 is not told apart.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cur := row[j]
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j]+1, row[j-1]+1, prev+cost)
			prev = cur
		}
	}
	return row[len(b)]
}

func oneOf(names []string) string {
	sorted := append([]string(nil), names...)
	sort.Strings(sorted)
	return strings.Join(sorted, ", ")
}
