package policy

import (
	"encoding/base64"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// quantifier says how the several values of a key count.
type quantifier uint8

const (
	noQuantifier quantifier = iota
	forAllValues
	forAnyValue
)

// condition is one operator on one key, with its values.
type condition struct {
	operator   string // as written
	key        string // lower-cased
	compare    comparator
	negated    bool
	ifExists   bool
	null       bool // the operator Null
	wantAbsent bool // its value
	quantifier quantifier
	values     []operand
}

// operand is one value of a condition, parsed once.
type operand struct {
	pattern pattern
	arn     arnPattern
	number  float64
	prefix  netip.Prefix
	text    string
}

// comparator compares one value of the request with one of the policy. resolved
// is false when there is nothing to compare with: a variable without a value or
// a value of another type.
type comparator func(e *evaluation, value string, o *operand) (matched, resolved bool)

// operatorKind is what an operator's name means, apart from its affixes.
type operatorKind struct {
	compare comparator
	negated bool
	parse   func(o *operand, s string, variables bool) bool
}

// operatorOf finds an operator by its bare name.
func operatorOf(name string) (operatorKind, bool) {
	negated := false
	switch name {
	case "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "NumericNotEquals", "DateNotEquals", "NotIpAddress", "ArnNotEquals", "ArnNotLike":
		negated = true
		name = strings.Replace(name, "Not", "", 1)
	}
	switch name {
	case "StringEquals":
		return operatorKind{compare: compareString, negated: negated, parse: parseExact}, true
	case "StringEqualsIgnoreCase":
		return operatorKind{compare: compareFold, negated: negated, parse: parseExact}, true
	case "StringLike":
		return operatorKind{compare: compareString, negated: negated, parse: parseLike}, true
	case "ArnEquals", "ArnLike":
		return operatorKind{compare: compareARN, negated: negated, parse: parseARN}, true
	case "Bool":
		return operatorKind{compare: compareBool, parse: parseBool}, true
	case "BinaryEquals":
		return operatorKind{compare: compareBinary, parse: parseBinary}, true
	case "IpAddress":
		return operatorKind{compare: compareIP, negated: negated, parse: parseIP}, true
	}
	for _, kind := range [...]struct {
		prefix string
		parse  func(*operand, string, bool) bool
		read   func(string) (float64, bool)
	}{{"Numeric", parseNumber, readNumber}, {"Date", parseDate, readDate}} {
		if order, ok := strings.CutPrefix(name, kind.prefix); ok {
			if holds := orderOf(order); holds != nil {
				return operatorKind{compare: ordered(kind.read, holds), negated: negated, parse: kind.parse}, true
			}
		}
	}
	return operatorKind{}, false
}

func orderOf(name string) func(a, b float64) bool {
	switch name {
	case "Equals":
		return func(a, b float64) bool { return a == b }
	case "LessThan":
		return func(a, b float64) bool { return a < b }
	case "LessThanEquals":
		return func(a, b float64) bool { return a <= b }
	case "GreaterThan":
		return func(a, b float64) bool { return a > b }
	case "GreaterThanEquals":
		return func(a, b float64) bool { return a >= b }
	}
	return nil
}

func ordered(read func(string) (float64, bool), holds func(a, b float64) bool) comparator {
	return func(_ *evaluation, value string, o *operand) (bool, bool) {
		n, ok := read(value)
		return ok && holds(n, o.number), ok
	}
}

func compareString(e *evaluation, value string, o *operand) (bool, bool) {
	return o.pattern.match(value, false, e)
}

func compareFold(e *evaluation, value string, o *operand) (bool, bool) {
	if o.pattern.parts == nil {
		return strings.EqualFold(o.pattern.text, value), true
	}
	b, ok := o.pattern.expand(nil, e)
	return ok && strings.EqualFold(string(b), value), ok
}

func compareARN(e *evaluation, value string, o *operand) (bool, bool) {
	if !strings.HasPrefix(value, "arn:") {
		return false, true
	}
	return o.arn.match(value, e)
}

func compareBool(_ *evaluation, value string, o *operand) (bool, bool) {
	return strings.EqualFold(value, o.text), true
}

func compareBinary(_ *evaluation, value string, o *operand) (bool, bool) {
	b, err := base64.StdEncoding.DecodeString(value)
	return err == nil && string(b) == o.text, err == nil
}

func compareIP(_ *evaluation, value string, o *operand) (bool, bool) {
	a, err := netip.ParseAddr(value)
	if err != nil {
		return false, false
	}
	return o.prefix.Contains(a.Unmap()), true
}

func parseExact(o *operand, s string, variables bool) (ok bool) {
	o.pattern, ok = compile(s, variables, false)
	return ok
}

func parseLike(o *operand, s string, variables bool) (ok bool) {
	o.pattern, ok = compile(s, variables, true)
	return ok
}

func parseARN(o *operand, s string, variables bool) (ok bool) {
	o.arn, ok = compileARN(s, variables)
	return ok
}

func parseBool(o *operand, s string, _ bool) bool {
	o.text = strings.ToLower(s)
	return o.text == "true" || o.text == "false"
}

func parseBinary(o *operand, s string, _ bool) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	o.text = string(b)
	return err == nil
}

func parseIP(o *operand, s string, _ bool) bool {
	if p, err := netip.ParsePrefix(s); err == nil {
		o.prefix = p.Masked()
		return true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return false
	}
	o.prefix = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
	return true
}

func parseNumber(o *operand, s string, _ bool) (ok bool) {
	o.number, ok = readNumber(s)
	return ok
}

func parseDate(o *operand, s string, _ bool) (ok bool) {
	o.number, ok = readDate(s)
	return ok
}

func readNumber(s string) (float64, bool) {
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// readDate reads the forms of ISO 8601 that the W3C profile names, and seconds
// since 1970.
func readDate(s string) (float64, bool) {
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01"} {
		if t, err := time.Parse(layout, s); err == nil {
			return float64(t.UnixNano()) / 1e9, true
		}
	}
	if len(s) == 4 { // a year, not four seconds past the epoch
		if t, err := time.Parse("2006", s); err == nil {
			return float64(t.Unix()), true
		}
	}
	return readNumber(s)
}

// holds decides the condition. allow says which way a value that cannot be
// compared falls: never in favour of the request.
func (c *condition) holds(e *evaluation, allow bool) bool {
	var one [1]string
	single, values := e.lookup(c.key)
	if values == nil && single != "" {
		one[0] = single
		values = one[:]
	}
	if c.null {
		return (len(values) == 0) == c.wantAbsent
	}
	if len(values) == 0 {
		switch {
		case c.ifExists || c.quantifier == forAllValues:
			return true
		case c.quantifier == forAnyValue:
			return false
		}
		return c.negated
	}
	switch c.quantifier {
	case forAllValues:
		for _, v := range values {
			if !c.satisfied(e, v, allow) {
				return false
			}
		}
		return true
	case forAnyValue:
		for _, v := range values {
			if c.satisfied(e, v, allow) {
				return true
			}
		}
		return false
	}
	// Without a quantifier a key with several values matches by any of them,
	// and a negated operator is the opposite of its positive form.
	for _, v := range values {
		if s := c.satisfied(e, v, allow); s != c.negated {
			return s
		}
	}
	return c.negated
}

// satisfied decides one value of the request: it equals one of the policy's
// values or, negated, none of them.
func (c *condition) satisfied(e *evaluation, value string, allow bool) bool {
	unresolved := false
	for i := range c.values {
		matched, resolved := c.compare(e, value, &c.values[i])
		if matched {
			return !c.negated
		}
		unresolved = unresolved || !resolved
	}
	if unresolved && c.negated {
		return !allow
	}
	return c.negated
}
