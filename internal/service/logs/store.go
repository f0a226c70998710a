package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

// Group is a log group.
type Group struct {
	Account, Region, Name string
	Class                 string
	Created               int64 // milliseconds, as all times of this API
	Retention             int32 // days; 0 keeps events for ever
	Tags                  map[string]string
	StoredBytes           int64 // as of the last sweep
}

// Stream is a log stream: what one source writes, in order.
type Stream struct {
	Account, Region, Group, Name string
	Created                      int64
	First, Last                  int64 // times of events; 0 when there never was one
	Ingested                     int64
	Bytes                        int64
	Next                         int64 // number of the next event
	// Classes is a bit for each class of which the stream has chunks; Loose counts its loose
	// chunks, LooseBytes what is in them.
	Classes           uint32
	Loose, LooseBytes int
	// Chunked: no event of the stream is a [Record] any more.
	Chunked bool
}

// Record is an event in a row of its own, as an earlier Moat wrote them. [Service.Run]
// moves them into chunks; until it has, they are read where they are.
type Record struct {
	Account, Region, Group, Stream string
	Time                           int64
	Number                         int64
	Ingested                       int64
	Message                        string
}

func (r *Record) event() event {
	return event{Time: r.Time, Number: r.Number, Ingested: r.Ingested, Message: r.Message}
}

type tables struct {
	groups  *store.Table[Group]
	streams *store.Table[Stream]
	chunks  *store.Table[Chunk]
	events  *store.Table[Record]
}

func newTables() tables {
	return tables{
		groups: store.NewTable(store.Schema[Group]{
			Name: "log_groups", Key: []string{"account", "region", "name"},
			KeyOf: func(g *Group) []string { return []string{g.Account, g.Region, g.Name} },
		}),
		streams: store.NewTable(store.Schema[Stream]{
			Name: "log_streams", Key: []string{"account", "region", "log_group", "name"},
			KeyOf: func(s *Stream) []string { return []string{s.Account, s.Region, s.Group, s.Name} },
			Indexes: []store.Index[Stream]{{
				Name: "last", Columns: []string{"account", "region", "log_group", "last_event"},
				Of: func(s *Stream) [][]string { return [][]string{{s.Account, s.Region, s.Group, stamp(s.Last)}} },
			}},
			// Version 1 knows of chunks. A Moat that does not would lose them from sight.
			Upgrades: []func(json.RawMessage) (json.RawMessage, error){func(doc json.RawMessage) (json.RawMessage, error) { return doc, nil }},
		}),
		chunks: store.NewTable(store.Schema[Chunk]{
			Name: "log_chunks", Key: []string{"account", "region", "log_group", "stream", "class", "at", "number"},
			KeyOf: func(c *Chunk) []string {
				return []string{c.Account, c.Region, c.Group, c.Stream, c.Class, stamp(c.first()), number(c.number())}
			},
		}),
		events: store.NewTable(store.Schema[Record]{
			Name: "log_events", Key: []string{"account", "region", "log_group", "stream", "at", "number"},
			KeyOf: func(r *Record) []string {
				return []string{r.Account, r.Region, r.Group, r.Stream, stamp(r.Time), number(r.Number)}
			},
		}),
	}
}

// stamp and number write numbers so that text order is number order.
func stamp(ms int64) string { return padded(max(0, ms), 15) }
func number(n int64) string { return padded(n, 12) }

func padded(n int64, width int) string {
	digits := strconv.FormatInt(n, 10)
	return "000000000000000"[:max(0, width-len(digits))] + digits
}

func (s *Stream) key() []string { return []string{s.Account, s.Region, s.Group, s.Name} }

func (g *Group) arn() string { return groupARN(g.Region, g.Account, g.Name) }

func groupARN(region, account, name string) string {
	return "arn:aws:logs:" + region + ":" + account + ":log-group:" + name
}

func (s *Stream) arn() string {
	return groupARN(s.Region, s.Account, s.Group) + ":log-stream:" + s.Name
}

// horizon is the time before which events are invisible: their retention is over.
func (g *Group) horizon(now time.Time) int64 {
	if g.Retention == 0 {
		return 0
	}
	return now.AddDate(0, 0, -int(g.Retention)).UnixMilli()
}

func invalid(format string, args ...any) error {
	return &api.InvalidParameterException{Message: fmt.Sprintf(format, args...)}
}

func notFound(what string) error {
	return &api.ResourceNotFoundException{Message: "The specified log " + what + " does not exist."}
}

func (s *Service) group(tx *store.Tx, c *wire.Call, name string) (Group, error) {
	g, err := s.groups.Get(tx, s.account, c.Region, name)
	if errors.Is(err, store.ErrNotFound) {
		return g, notFound("group")
	}
	return g, err
}

func (s *Service) stream(tx *store.Tx, g *Group, name string) (Stream, error) {
	st, err := s.streams.Get(tx, g.Account, g.Region, g.Name, name)
	if errors.Is(err, store.ErrNotFound) {
		return st, notFound("stream")
	}
	return st, err
}

// groupOf returns the name of the group that a request names: by name, or by an
// identifier that is a name or an ARN. An ARN of elsewhere names nothing here.
func (s *Service) groupOf(c *wire.Call, name, identifier *string) (string, error) {
	switch {
	case name != nil && identifier != nil:
		return "", invalid("LogGroup name and LogGroup identifier are mutually exclusive parameters.")
	case name != nil:
		return *name, nil
	case identifier != nil:
		return s.named(c, *identifier)
	}
	return "", invalid("Either LogGroup name or LogGroup identifier must be provided.")
}

func (s *Service) named(c *wire.Call, identifier string) (string, error) {
	if !strings.HasPrefix(identifier, "arn:") {
		return identifier, nil
	}
	name, ok := strings.CutPrefix(identifier, groupARN(c.Region, s.account, ""))
	if !ok {
		return "", notFound("group")
	}
	return strings.TrimSuffix(name, ":*"), nil
}
