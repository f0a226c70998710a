package gateway

import (
	"html"
	"strings"

	"moat/internal/pure/jsonstring"
)

// AccessLog is where a stage's access log goes, and the format of its lines.
type AccessLog struct{ Group, Format string }

// accessFormat is a compiled format: text and $context variables. What a variable holds
// cannot end the text around it: it is escaped as XML where the format is XML, else as
// JSON, which is what the common log format's readers understand, too.
type accessFormat struct {
	pieces []piece
	xml    bool
	timed  bool // it tells what authorisation took
}

func compileAccessLog(l *AccessLog) *accessFormat {
	if l == nil || l.Format == "" || l.Group == "" {
		return nil
	}
	text := strings.TrimRight(l.Format, "\r\n")
	f := &accessFormat{xml: strings.HasPrefix(strings.TrimSpace(text), "<")}
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			f.pieces = append(f.pieces, piece{text: text})
			break
		}
		name, n := variable(text[i:])
		if !strings.HasPrefix(name, "context.") {
			f.pieces, text = append(f.pieces, piece{text: text[:i+1]}), text[i+1:]
			continue
		}
		name = strings.TrimPrefix(name, "context.")
		f.pieces = append(f.pieces, piece{text: text[:i]}, piece{name: name})
		f.timed = f.timed || strings.HasPrefix(name, "auth") && strings.HasSuffix(name, ".latency")
		text = text[i+n:]
	}
	return f
}

// render appends a line. A variable without a value is "-".
func (f *accessFormat) render(b []byte, o *outcome) []byte {
	for _, p := range f.pieces {
		if p.name == "" {
			b = append(b, p.text...)
			continue
		}
		if appended, ok := o.appendValue(b, p.name); ok {
			b = appended
			continue
		}
		value, ok := o.value(p.name)
		switch {
		case !ok || value == "":
			b = append(b, '-')
		case p.name == "error.messageString":
			b = jsonstring.Append(b, value)
		case f.xml:
			b = append(b, html.EscapeString(strings.Map(printable, value))...)
		default:
			b = jsonstring.AppendInside(b, value)
		}
	}
	return b
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
