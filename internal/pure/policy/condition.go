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
	written    string // the key as written
	key        string // lower-cased
	kind       operatorKind
	ifExists   bool
	null       bool // the operator Null
	wantAbsent bool // its value
	quantifier quantifier
	values     []operand
}

// String names the condition as the document does.
func (c *condition) String() string { return c.operator + " " + c.written }

// names says whether the condition only holds for a key that has a value, and
// that value is among those written.
func (c *condition) names() bool {
	return !c.null && !c.ifExists && !c.kind.negated && c.quantifier == noQuantifier
}

// operand is one value of a condition, parsed once.
type operand struct {
	pattern pattern
	arn     arnPattern
	number  float64
	prefix  netip.Prefix
	text    string
}

// operatorKind is what an operator's name means, apart from its affixes.
type operatorKind struct {
	compare comparison
	order   ordering
	negated bool
}

// comparison says how two values are compared.
type comparison uint8

const (
	compareExact comparison = iota + 1
	compareLike
	compareFold
	compareARN
	compareBool
	compareBinary
	compareIP
	compareNumber
	compareDate
)

// ordering is the relation that numbers and dates must have.
type ordering uint8

const (
	equal ordering = iota
	less
	lessEqual
	greater
	greaterEqual
)

// affixes takes an operator's name apart: ForAnyValue:StringLikeIfExists.
func affixes(operator string) (bare string, q quantifier, ifExists bool) {
	bare = operator
	if rest, ok := strings.CutPrefix(bare, "ForAllValues:"); ok {
		bare, q = rest, forAllValues
	} else if rest, ok := strings.CutPrefix(bare, "ForAnyValue:"); ok {
		bare, q = rest, forAnyValue
	}
	bare, ifExists = strings.CutSuffix(bare, "IfExists")
	return bare, q, ifExists
}

// operatorOf finds an operator by its bare name.
func operatorOf(name string) (k operatorKind, ok bool) {
	switch name {
	case "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "NumericNotEquals", "DateNotEquals", "NotIpAddress", "ArnNotEquals", "ArnNotLike":
		k.negated = true
		name = strings.Replace(name, "Not", "", 1)
	}
	switch name {
	case "StringEquals":
		k.compare = compareExact
	case "StringEqualsIgnoreCase":
		k.compare = compareFold
	case "StringLike":
		k.compare = compareLike
	case "ArnEquals", "ArnLike":
		k.compare = compareARN
	case "Bool":
		k.compare = compareBool
	case "BinaryEquals":
		k.compare = compareBinary
	case "IpAddress":
		k.compare = compareIP
	default:
		order, numeric := strings.CutPrefix(name, "Numeric")
		if k.compare = compareNumber; !numeric {
			if order, numeric = strings.CutPrefix(name, "Date"); !numeric {
				return k, false
			}
			k.compare = compareDate
		}
		k.order, ok = orderOf(order)
		return k, ok
	}
	return k, true
}

func orderOf(name string) (ordering, bool) {
	switch name {
	case "Equals":
		return equal, true
	case "LessThan":
		return less, true
	case "LessThanEquals":
		return lessEqual, true
	case "GreaterThan":
		return greater, true
	case "GreaterThanEquals":
		return greaterEqual, true
	}
	return 0, false
}

func (o ordering) holds(a, b float64) bool {
	switch o {
	case less:
		return a < b
	case lessEqual:
		return a <= b
	case greater:
		return a > b
	case greaterEqual:
		return a >= b
	}
	return a == b
}

// match compares one value of the request with one of the policy. resolved is
// false when there is nothing to compare with: a variable without a value or a
// value of another type. It is a switch, not a table of functions, so that the
// request need not leave the stack.
func (c *condition) match(e *evaluation, value string, o *operand) (matched, resolved bool) {
	switch c.kind.compare {
	case compareExact, compareLike:
		return o.pattern.match(value, false, e)
	case compareFold:
		if o.pattern.parts == nil {
			return strings.EqualFold(o.pattern.text, value), true
		}
		b, ok := o.pattern.expand(nil, e)
		return ok && strings.EqualFold(string(b), value), ok
	case compareARN:
		if !strings.HasPrefix(value, "arn:") {
			return false, true
		}
		fields, ok := splitARN(value)
		return o.arn.match(&fields, ok, e)
	case compareBool:
		return strings.EqualFold(value, o.text), true
	case compareBinary:
		b, err := base64.StdEncoding.DecodeString(value)
		return err == nil && string(b) == o.text, err == nil
	case compareIP:
		a, err := netip.ParseAddr(value)
		return err == nil && o.prefix.Contains(a.Unmap()), err == nil
	case compareNumber:
		n, ok := readNumber(value)
		return ok && c.kind.order.holds(n, o.number), ok
	case compareDate:
		n, ok := readDate(value)
		return ok && c.kind.order.holds(n, o.number), ok
	}
	return false, false
}

// parse reads one value of the policy.
func (o *operand) parse(how comparison, s string, variables bool) (ok bool) {
	switch how {
	case compareExact, compareFold, compareLike:
		o.pattern, ok = compile(s, variables, how == compareLike)
	case compareARN:
		o.arn, ok = compileARN(s, variables)
	case compareBool:
		o.text = strings.ToLower(s)
		ok = o.text == "true" || o.text == "false"
	case compareBinary:
		b, err := base64.StdEncoding.DecodeString(s)
		o.text, ok = string(b), err == nil
	case compareIP:
		ok = o.parseIP(s)
	case compareNumber:
		o.number, ok = readNumber(s)
	case compareDate:
		o.number, ok = readDate(s)
	}
	return ok
}

func (o *operand) parseIP(s string) bool {
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
		return c.kind.negated
	}
	if len(values) > 1 && ofOneTag(c.key) {
		return !allow // which of them the tag has cannot be told
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
		if s := c.satisfied(e, v, allow); s != c.kind.negated {
			return s
		}
	}
	return c.kind.negated
}

// ofOneTag says whether a key is of one tag, which has one value. It has several only
// where tags differ in letter case alone, which keys do not (IAM user guide,
// "Controlling access to AWS resources using tags": the key matches either, not both).
func ofOneTag(key string) bool {
	vendor, name, _ := strings.Cut(key, ":")
	for _, kind := range [...]string{"requesttag/", "resourcetag/", "principaltag/"} {
		if strings.HasPrefix(name, kind) {
			return vendor == "aws" || vendor == "iam" || vendor == "ssm"
		}
	}
	return false
}

// satisfied decides one value of the request: it equals one of the policy's
// values or, negated, none of them.
func (c *condition) satisfied(e *evaluation, value string, allow bool) bool {
	unresolved := false
	for i := range c.values {
		matched, resolved := c.match(e, value, &c.values[i])
		if matched {
			return !c.kind.negated
		}
		unresolved = unresolved || !resolved
	}
	if unresolved && c.kind.negated {
		return !allow
	}
	return c.kind.negated
}
