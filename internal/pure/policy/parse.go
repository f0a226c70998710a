package policy

import (
	"strconv"
	"strings"

	"moat/internal/pure/lazyregexp"
)

// Document is a compiled policy. It is immutable and safe for concurrent use.
type Document struct {
	id         string
	statements []statement
	index      index
	text       []byte
}

// ID returns the name that was given to [Parse].
func (d *Document) ID() string { return d.id }

// statement is one compiled statement.
type statement struct {
	policy       string // the document's id
	sid          string
	name         string // the Sid, or its place: "statement 1"
	start, end   Position
	reason       string
	allow        bool
	actions      []pattern
	notAction    bool
	resources    []arnPattern // nil when the statement names none
	notResource  bool
	principals   *principals // nil when the statement names none
	notPrincipal bool
	conditions   []condition
	byARN        bool // a condition names principals by aws:PrincipalArn
}

// Error is a mistake in a policy, in IAM's words.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

func malformed(message string) error { return &Error{Message: message} }

// errSyntax is IAM's answer to everything that has no sentence of its own.
var errSyntax = malformed("Syntax errors in policy.")

// Option changes how Parse reads a document.
type Option func(*options)

type options struct {
	short, long string
	ids         map[string]string
}

// PrincipalIDs makes principals named by these ARNs mean the unique ids they
// had when the policy was saved: a user or role that later gets the name of a
// deleted one is not meant.
func PrincipalIDs(ids map[string]string) Option {
	return func(o *options) { o.ids = ids }
}

// ShortResource makes resources that begin with short mean those that begin
// with long instead. API Gateway's resource policies may say
// execute-api:/stage/GET/path for the API they belong to.
func ShortResource(short, long string) Option {
	return func(o *options) { o.short, o.long = short, long }
}

// Parse compiles a policy document. id names it in decisions.
//
// It is strict: an unknown element, an unknown operator, a value of the wrong
// type or a name that occurs twice is an [*Error], whose text is IAM's sentence.
// What only some kinds of policy may hold is checked by [Validate]. The document
// keeps doc, which must not be changed afterwards.
func Parse(id string, doc []byte, opts ...Option) (*Document, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	root, err := readNode(doc)
	if err != nil || root.kind != nodeObject {
		return nil, malformed("The policy is not in the valid JSON format.")
	}
	variables := false
	var statements node
	for _, m := range root.members {
		switch m.name {
		case "Version":
			if m.value.kind != nodeString || m.value.text != "2012-10-17" && m.value.text != "2008-10-17" {
				return nil, errSyntax
			}
			variables = m.value.text == "2012-10-17"
		case "Id":
			if m.value.kind != nodeString {
				return nil, errSyntax
			}
		case "Statement":
			statements = m.value
		default:
			return nil, errSyntax
		}
	}
	if statements.kind == nodeObject {
		statements = node{kind: nodeArray, items: []node{statements}}
	}
	if statements.kind != nodeArray || len(statements.items) == 0 {
		return nil, errSyntax
	}
	d := &Document{id: id, text: doc, statements: make([]statement, len(statements.items))}
	text := scanner{text: doc}
	for i, n := range statements.items {
		s := &d.statements[i]
		s.policy, s.start, s.end = id, text.position(n.start), text.position(n.end-1)
		if err := s.parse(n, variables, o); err != nil {
			return nil, err
		}
		if s.name = s.sid; s.name == "" {
			s.name = "statement " + strconv.Itoa(i+1)
		}
		verb := "denies"
		if s.allow {
			verb = "allows"
		}
		s.reason = "Statement " + strconv.Quote(s.name) + " of policy " + strconv.Quote(id) + " " + verb + " it."
	}
	d.index = buildIndex(d.statements)
	return d, nil
}

func (s *statement) parse(n node, variables bool, o options) error {
	if n.kind != nodeObject {
		return errSyntax
	}
	for _, m := range n.members {
		if err := s.parseElement(m, variables, o); err != nil {
			return err
		}
	}
	have := func(name string) bool {
		for _, m := range n.members {
			if m.name == name {
				return true
			}
		}
		return false
	}
	for _, pair := range [...]string{"Action", "Resource", "Principal"} {
		if have(pair) && have("Not"+pair) {
			return errSyntax
		}
	}
	if !have("Effect") {
		return errSyntax
	}
	if len(s.actions) == 0 {
		return malformed("Policy statement must contain actions.")
	}
	if (have("Resource") || have("NotResource")) && len(s.resources) == 0 {
		return malformed("Policy statement must contain resources.")
	}
	return nil
}

func (s *statement) parseElement(m member, variables bool, o options) error {
	switch m.name {
	case "Sid":
		if m.value.kind != nodeString {
			return errSyntax
		}
		s.sid = m.value.text
	case "Effect":
		if m.value.kind != nodeString || m.value.text != "Allow" && m.value.text != "Deny" {
			return errSyntax
		}
		s.allow = m.value.text == "Allow"
	case "Action", "NotAction":
		s.notAction = m.name == "NotAction"
		return s.parseActions(m.value)
	case "Resource", "NotResource":
		s.notResource = m.name == "NotResource"
		return s.parseResources(m.value, variables, o)
	case "Principal", "NotPrincipal":
		s.notPrincipal = m.name == "NotPrincipal"
		ps, invalid, ok := parsePrincipals(m.value)
		if !ok {
			return errSyntax
		}
		if invalid != "" {
			return malformed("Invalid principal in policy: " + invalid)
		}
		ps.pin(o.ids)
		s.principals = ps
	case "Condition":
		return s.parseConditions(m.value, variables)
	default:
		return errSyntax
	}
	return nil
}

var vendorPattern = lazyregexp.New(`^[A-Za-z0-9.-]+$`)

func (s *statement) parseActions(v node) error {
	values, ok := v.strings()
	if !ok {
		return errSyntax
	}
	for _, a := range values {
		if err := actionForm(a); err != nil {
			return err
		}
		p, _ := compile(a, false, true)
		s.actions = append(s.actions, p)
	}
	return nil
}

func validPartition(p string) bool {
	switch p {
	case "*", "aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc":
		return true
	}
	return false
}

func (s *statement) parseResources(v node, variables bool, o options) error {
	values, ok := v.strings()
	if !ok {
		return errSyntax
	}
	s.resources = make([]arnPattern, 0, len(values))
	for _, r := range values {
		if rest, ok := strings.CutPrefix(r, o.short); ok && o.short != "" {
			r = o.long + rest
		}
		if r != "*" {
			rest, ok := strings.CutPrefix(r, "arn:")
			if !ok {
				return malformed("Resource " + r + ` must be in ARN format or "*".`)
			}
			if partition, _, _ := strings.Cut(rest, ":"); !validPartition(partition) {
				return malformed("Partition \"" + partition + "\" is not valid for resource \"" + r + "\".")
			}
		}
		p, ok := compileARN(r, variables)
		if !ok {
			return errSyntax
		}
		s.resources = append(s.resources, p)
	}
	return nil
}

func (s *statement) parseConditions(v node, variables bool) error {
	if v.kind != nodeObject {
		return errSyntax
	}
	for _, operator := range v.members {
		if operator.value.kind != nodeObject {
			return errSyntax
		}
		for _, key := range operator.value.members {
			c, err := parseCondition(operator.name, key, variables)
			if err != nil {
				return err
			}
			s.conditions = append(s.conditions, c)
			s.byARN = s.byARN || c.key == "aws:principalarn" && c.names()
		}
	}
	return nil
}

func parseCondition(operator string, key member, variables bool) (condition, error) {
	c := condition{operator: operator, written: key.name, key: strings.ToLower(key.name)}
	var name string
	name, c.quantifier, c.ifExists = affixes(operator)
	values, ok := key.value.strings()
	if !ok {
		return c, errSyntax
	}
	if name == "Null" && !c.ifExists && c.quantifier == noQuantifier {
		c.null = true
		if len(values) != 1 || !strings.EqualFold(values[0], "true") && !strings.EqualFold(values[0], "false") {
			return c, errSyntax
		}
		c.wantAbsent = strings.EqualFold(values[0], "true")
		return c, nil
	}
	kind, ok := operatorOf(name)
	if !ok {
		return c, errSyntax
	}
	c.kind = kind
	c.values = make([]operand, len(values))
	for i, v := range values {
		if !c.values[i].parse(kind.compare, v, variables) {
			return c, errSyntax
		}
	}
	return c, nil
}

// PrincipalARNs lists the users, roles and sessions that the document names by
// their ARNs.
func (d *Document) PrincipalARNs() []string {
	var out []string
	for i := range d.statements {
		if ps := d.statements[i].principals; ps != nil {
			out = append(out, ps.arns...)
		}
	}
	return out
}
