package stack

import (
	"encoding/json"
	"fmt"
	"time"

	"moat/internal/service/stack/template"
	"moat/internal/store"
	"moat/internal/wire"
)

// stackRecord is a stack, deleted ones included.
type stackRecord struct {
	Account, Region, UUID string
	Name                  string
	Status, Reason        string
	Description           string
	Created               time.Time
	Updated, Deleted      time.Time // zero: never
	Tags                  map[string]string
	Capabilities          []string
	RoleARN               string
	Protected             bool
	DisableRollback       bool
	ChangeSetID           string
	Generation            int    // of the template
	Secret                []byte // sealed stackSecret
}

// stackSecret is what a stack knows that may be secret: parameters with NoEcho, and
// outputs, which may give out a client's secret.
type stackSecret struct {
	Parameters []storedParameter
	Outputs    []storedOutput
}

type storedParameter struct {
	Key, Given, Resolved string
	Stored, NoEcho       bool
}

type storedOutput struct {
	Key, Value, Description, Export string
}

func (r *stackRecord) id() string {
	return fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%s", r.Region, r.Account, r.Name, r.UUID)
}

func (r *stackRecord) key() []string { return []string{r.Account, r.Region, r.UUID} }

func (r *stackRecord) gone() bool { return r.Status == "DELETE_COMPLETE" }

// templateRecord is one generation of a stack's template.
type templateRecord struct {
	Account, Region, UUID string
	Generation            string
	Sealed                []byte // sealed templateText: a template may hold secrets

	templateText `json:"-"`
}

// templateText is what a template record holds.
type templateText struct {
	Body      string // as it was given
	Processed json.RawMessage
}

// resourceVersion is a resource as it is, or was before the running operation.
type resourceVersion struct {
	Type, PhysicalID  string
	Needs             []string // logical ids that it depends on
	DeletionPolicy    string
	ReplacementPolicy string
	Metadata          string
	Secret            []byte // sealed resourceSecret
}

type resourceSecret struct {
	Properties *template.Value
	Attributes map[string]string
	Ref        string
	Tags       map[string]string // of the stack, when they were handed on
}

// resourceRecord is one resource of a stack.
type resourceRecord struct {
	Account, Region, UUID string
	LogicalID             string
	Status, Reason        string
	Time                  time.Time
	Current               resourceVersion
	Previous              *resourceVersion // until the operation is over
	Fresh                 bool             // made by the operation that runs
}

type eventRecord struct {
	Account, Region, UUID, Seq string
	Event                      Event
}

// operationRecord is the journal's head: what is being done to a stack. It is gone
// when the operation is over.
type operationRecord struct {
	Account, Region, UUID string
	ID                    string
	Kind                  string // create, update, delete
	Phase                 string // forward, cleanup, rollback
	Generation            int    // of the template that is being deployed
	Caller                wire.Caller
	RoleARN               string // of the service role that Caller is a session of
	Token                 string
	KeepOnFailure         bool         // no rollback
	DeleteOnFailure       bool         // OnFailure DELETE
	Retain                []string     // Delete: resources to leave alone
	Local                 bool         // packages of local folders may be used
	Before                *stackRecord // Update: as it was
	Owner                 string
	Started, Beat         time.Time
}

type changeSetRecord struct {
	Account, Region, UUID  string // of the stack
	ID, Name               string
	Type                   string // CREATE, UPDATE
	Status, Reason         string
	Execution              string
	Description            string
	Created                time.Time
	Tags                   map[string]string
	Capabilities           []string
	RoleARN                string
	OnFailure              string
	Content                []byte // sealed changeSetContent
	Secret                 []byte // sealed stackSecret
	StackName, StackStatus string

	changeSetContent `json:"-"`
}

// changeSetContent is what a change set holds of its template.
type changeSetContent struct {
	Template  string
	Processed json.RawMessage
	Changes   json.RawMessage // []change
}

type exportRecord struct {
	Account, Region, Name string
	UUID, StackID         string
	Value                 string
}

type importRecord struct {
	Account, Region, Name string // of the export
	UUID, StackName       string // of the stack that uses it
}

type tables struct {
	stacks     *store.Table[stackRecord]
	templates  *store.Table[templateRecord]
	resources  *store.Table[resourceRecord]
	events     *store.Table[eventRecord]
	operations *store.Table[operationRecord]
	changeSets *store.Table[changeSetRecord]
	exports    *store.Table[exportRecord]
	imports    *store.Table[importRecord]
}

func newTables() tables {
	return tables{
		stacks: store.NewTable(store.Schema[stackRecord]{
			Name: "stack_stacks", Key: []string{"account", "region", "uuid"},
			KeyOf: func(r *stackRecord) []string { return r.key() },
			Indexes: []store.Index[stackRecord]{{
				Name: "live", Columns: []string{"account", "region", "name"}, Unique: true,
				Of: func(r *stackRecord) [][]string {
					if r.gone() {
						return nil
					}
					return [][]string{{r.Account, r.Region, r.Name}}
				},
			}},
		}),
		templates: store.NewTable(store.Schema[templateRecord]{
			Name: "stack_templates", Key: []string{"account", "region", "uuid", "generation"},
			KeyOf: func(r *templateRecord) []string { return []string{r.Account, r.Region, r.UUID, r.Generation} },
		}),
		resources: store.NewTable(store.Schema[resourceRecord]{
			Name: "stack_resources", Key: []string{"account", "region", "uuid", "logical_id"},
			KeyOf: func(r *resourceRecord) []string { return []string{r.Account, r.Region, r.UUID, r.LogicalID} },
			Indexes: []store.Index[resourceRecord]{{
				Name: "physical", Columns: []string{"account", "region", "physical_id"},
				Of: func(r *resourceRecord) [][]string {
					if r.Current.PhysicalID == "" {
						return nil
					}
					return [][]string{{r.Account, r.Region, r.Current.PhysicalID}}
				},
			}},
		}),
		events: store.NewTable(store.Schema[eventRecord]{
			Name: "stack_events", Key: []string{"account", "region", "uuid", "seq"},
			KeyOf: func(r *eventRecord) []string { return []string{r.Account, r.Region, r.UUID, r.Seq} },
		}),
		operations: store.NewTable(store.Schema[operationRecord]{
			Name: "stack_operations", Key: []string{"account", "region", "uuid"},
			KeyOf: func(r *operationRecord) []string { return []string{r.Account, r.Region, r.UUID} },
		}),
		changeSets: store.NewTable(store.Schema[changeSetRecord]{
			Name: "stack_change_sets", Key: []string{"account", "region", "uuid", "id"},
			KeyOf: func(r *changeSetRecord) []string { return []string{r.Account, r.Region, r.UUID, r.ID} },
			Indexes: []store.Index[changeSetRecord]{{
				Name: "id", Columns: []string{"account", "region", "id"},
				Of: func(r *changeSetRecord) [][]string { return [][]string{{r.Account, r.Region, r.ID}} },
			}},
		}),
		exports: store.NewTable(store.Schema[exportRecord]{
			Name: "stack_exports", Key: []string{"account", "region", "name"},
			KeyOf: func(r *exportRecord) []string { return []string{r.Account, r.Region, r.Name} },
			Indexes: []store.Index[exportRecord]{{
				Name: "stack", Columns: []string{"account", "region", "uuid"},
				Of: func(r *exportRecord) [][]string { return [][]string{{r.Account, r.Region, r.UUID}} },
			}},
		}),
		imports: store.NewTable(store.Schema[importRecord]{
			Name: "stack_imports", Key: []string{"account", "region", "name", "uuid"},
			KeyOf: func(r *importRecord) []string { return []string{r.Account, r.Region, r.Name, r.UUID} },
			Indexes: []store.Index[importRecord]{{
				Name: "stack", Columns: []string{"account", "region", "uuid"},
				Of: func(r *importRecord) [][]string { return [][]string{{r.Account, r.Region, r.UUID}} },
			}},
		}),
	}
}

func (t tables) all() []store.Definer {
	return []store.Definer{t.stacks, t.templates, t.resources, t.events, t.operations, t.changeSets, t.exports, t.imports}
}

func generation(n int) string { return fmt.Sprintf("%09d", n) }

// The purposes under which records are sealed.
const (
	stackPurpose     = "stack"
	templatePurpose  = "stack/template"
	contentPurpose   = "stack/change-set-content"
	resourcePurpose  = "stack-resource"
	changeSetPurpose = "stack-change-set"
)

// template reads one generation of a stack's template.
func (s *Service) template(tx *store.Tx, account, region, uuid string, gen string) (templateRecord, error) {
	t, err := s.tables.templates.Get(tx, account, region, uuid, gen)
	if err == nil {
		err = s.unseal(templatePurpose, t.Sealed, &t.templateText)
	}
	return t, err
}

func (s *Service) seal(purpose string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.cfg.DB.Seal(purpose, b)
}

func (s *Service) unseal(purpose string, sealed []byte, v any) error {
	if len(sealed) == 0 {
		return nil
	}
	b, err := s.cfg.DB.Unseal(purpose, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func (s *Service) stackSecret(r *stackRecord) (stackSecret, error) {
	var v stackSecret
	err := s.unseal(stackPurpose, r.Secret, &v)
	return v, err
}
