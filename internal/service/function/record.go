package function

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"moat/internal/store"
)

// topic is what every table that decides an invocation is of.
const topic = "function"

// latest is the version that can be changed.
const latest = "$LATEST"

// Function is a function and its changeable version.
type Function struct {
	Account, Region, Name string
	Latest                Version
	Tags                  map[string]string `json:",omitempty"`
	// Reserved is the reserved concurrency; nil is none.
	Reserved *int32 `json:",omitempty"`
	// Published is the number of the last version; numbers are never used again.
	Published int
	CreatedAt time.Time
}

// Version is the code and configuration of a function at one time.
type Version struct {
	Account, Region, Name string
	Number                string // "$LATEST", "1", ...
	Description           string
	Role                  string
	Runtime, Handler      string
	Architecture          string
	Timeout, Memory       int32
	Ephemeral             int32
	HasEnvironment        bool
	Environment           []byte `json:",omitempty"` // sealed
	CodeSHA256            string // base64, as AWS gives it
	CodeSize              int64
	Layers                []Layer `json:",omitempty"`
	Tracing               string
	LogGroup              string
	SystemLogLevel        string `json:",omitempty"`
	RevisionID            string
	LastModified          time.Time
	// Stamp changes whenever environments that run must be replaced.
	Stamp string
}

// Layer is a layer as a version uses it.
type Layer struct {
	ARN        string
	CodeSHA256 string
	CodeSize   int64
}

// Alias is a name for a version.
type Alias struct {
	Account, Region, Name string
	Alias                 string
	Version               string
	Description           string
	Weights               map[string]float64 `json:",omitempty"`
	RevisionID            string
}

// Permissions is the resource policy of a function, a version or an alias.
type Permissions struct {
	Account, Region, Name string
	Qualifier             string // "" is the function
	Statements            []Statement
	RevisionID            string
}

// Statement is one statement of a resource policy, in the order that AWS writes it.
type Statement struct {
	Sid       string
	Effect    string
	Principal json.RawMessage
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// LayerVersion is one version of a layer.
type LayerVersion struct {
	Account, Region, Name string
	Number                int64
	Description, License  string
	CodeSHA256            string
	CodeSize              int64
	Architectures         []string `json:",omitempty"`
	Runtimes              []string `json:",omitempty"`
	CreatedAt             time.Time
	// Deleted layers stay as a number that is never given again.
	Deleted bool
}

// Event is an invocation that nobody waits for.
type Event struct {
	Account, ID string
	Region      string
	ARN         string // as it was invoked
	Name        string
	Qualifier   string
	Payload     []byte // sealed
	Trace       string
	Attempt     int
	Due         time.Time
	Until       time.Time // given up after this
}

type tables struct {
	functions   *store.Table[Function]
	versions    *store.Table[Version]
	aliases     *store.Table[Alias]
	permissions *store.Table[Permissions]
	layers      *store.Table[LayerVersion]
	events      *store.Table[Event]
}

func newTables() tables {
	return tables{
		functions: store.NewTable(store.Schema[Function]{
			Name: "functions", Topic: topic,
			Key:   []string{"account", "region", "name"},
			KeyOf: func(f *Function) []string { return []string{f.Account, f.Region, f.Name} },
		}),
		versions: store.NewTable(store.Schema[Version]{
			Name: "function_versions", Topic: topic,
			Key: []string{"account", "region", "name", "number"},
			KeyOf: func(v *Version) []string {
				return []string{v.Account, v.Region, v.Name, padded(v.Number)}
			},
		}),
		aliases: store.NewTable(store.Schema[Alias]{
			Name: "function_aliases", Topic: topic,
			Key:   []string{"account", "region", "name", "alias"},
			KeyOf: func(a *Alias) []string { return []string{a.Account, a.Region, a.Name, a.Alias} },
		}),
		permissions: store.NewTable(store.Schema[Permissions]{
			Name: "function_permissions", Topic: topic,
			Key:   []string{"account", "region", "name", "qualifier"},
			KeyOf: func(p *Permissions) []string { return []string{p.Account, p.Region, p.Name, p.Qualifier} },
		}),
		layers: store.NewTable(store.Schema[LayerVersion]{
			Name: "function_layers", Topic: topic,
			Key: []string{"account", "region", "name", "number"},
			KeyOf: func(l *LayerVersion) []string {
				return []string{l.Account, l.Region, l.Name, padded(fmt.Sprint(l.Number))}
			},
		}),
		events: store.NewTable(store.Schema[Event]{
			Name:  "function_events",
			Key:   []string{"account", "id"},
			KeyOf: func(e *Event) []string { return []string{e.Account, e.ID} },
			Indexes: []store.Index[Event]{{
				Name: "due", Columns: []string{"account", "due"},
				Of: func(e *Event) [][]string { return [][]string{{e.Account, sortable(e.Due)}} },
			}},
			Expires: func(e *Event) time.Time { return e.Until.Add(24 * time.Hour) },
		}),
	}
}

// padded makes numbers sort as numbers.
func padded(number string) string { return strings.Repeat("0", max(0, 10-len(number))) + number }

// sortable makes times sort as times.
func sortable(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }
