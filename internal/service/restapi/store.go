package restapi

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// topic is the store topic of everything that the gateway serves from.
const topic = "restapi"

// planTopic is the topic of the changes of plans and keys: these may be many, and only what has
// changed is read again.
const planTopic = "restapi_plans"

// definition is a REST API as it is being edited: one record, so that an import or
// a deployment reads and writes it as a whole. Its parts have the wire's shapes.
type definition struct {
	Account, Region, ID string
	API                 apigatewayapi.RestApi
	Resources           map[string]apigatewayapi.Resource // by id; methods and integrations inside
	Authorizers         map[string]apigatewayapi.Authorizer
	Models              map[string]apigatewayapi.Model             // by name
	Validators          map[string]apigatewayapi.RequestValidator  // by id
	Responses           map[string]apigatewayapi.GatewayResponse   // by type
	Documentation       map[string]apigatewayapi.DocumentationPart `json:",omitempty"` // by id
}

// documentation is a version of an API's documentation.
type documentation struct {
	Account, Region, API, Name string
	Version                    apigatewayapi.DocumentationVersion
	Parts                      []apigatewayapi.DocumentationPart
}

// deployment is a frozen definition.
type deployment struct {
	Account, Region, API, ID string
	Deployment               apigatewayapi.Deployment
	Definition               definition
}

// stage points at the deployment it serves.
type stage struct {
	Account, Region, API, Name string
	Stage                      apigatewayapi.Stage
	Version                    int64 // rises with each change
	// Endpoint is how the API is reached, whatever the deployment says of it. nil: as it says.
	Endpoint *apigatewayapi.EndpointConfiguration `json:",omitempty"`
	// CacheEpoch and AuthorizerEpoch rise when a cache is flushed.
	CacheEpoch, AuthorizerEpoch int64
}

// key is an API key; its value is sealed, and found by its keyed hash.
type key struct {
	Account, Region, ID string
	Key                 apigatewayapi.ApiKey // without its value
	Value               []byte               // sealed
	Hash                string
	Plans               []string `json:",omitempty"` // usage plans, those that are gone since among them
}

// plan is a usage plan. Which keys are in it is said by the keys.
type plan struct {
	Account, Region, ID string
	Plan                apigatewayapi.UsagePlan
	Keys                []string `json:",omitempty"` // as it was written once; see moveKeys
	Epoch               int64    // rises when leased blocks count no longer
}

// settings are the account's.
type settings struct {
	Account, Region   string
	CloudWatchRoleARN string
	// RateLimit and BurstLimit are the account's throttle, where it is not AWS's default.
	RateLimit  *float64
	BurstLimit *int32
}

type tables struct {
	definitions   *store.Table[definition]
	deployments   *store.Table[deployment]
	stages        *store.Table[stage]
	keys          *store.Table[key]
	plans         *store.Table[plan]
	planChanges   *store.Table[planChange]
	settings      *store.Table[settings]
	certificates  *store.Table[certificate]
	documentation *store.Table[documentation]
	domains       *store.Table[domain]
	mappings      *store.Table[mapping]
	links         *store.Table[link]
	associations  *store.Table[association]
	keyCount      *store.Counter // keys by account and region
	planRevisions *store.Counter // the number of the last change of a plan or a key
	usage         *store.Counter // leased, by plan, key and window
	days          *store.Counter // used, by plan, key and day
	extensions    *store.Counter // added to the limit, by plan, key and window
}

func newTables() tables {
	regional := func(more ...string) []string { return append([]string{"account", "region"}, more...) }
	return tables{
		definitions: store.NewTable(store.Schema[definition]{
			Name: "restapi_api", Key: regional("id"), Topic: topic,
			KeyOf: func(d *definition) []string { return []string{d.Account, d.Region, d.ID} },
		}),
		deployments: store.NewTable(store.Schema[deployment]{
			Name: "restapi_deployment", Key: regional("api", "id"),
			KeyOf: func(d *deployment) []string { return []string{d.Account, d.Region, d.API, d.ID} },
		}),
		stages: store.NewTable(store.Schema[stage]{
			Name: "restapi_stage", Key: regional("api", "name"), Topic: topic,
			KeyOf: func(s *stage) []string { return []string{s.Account, s.Region, s.API, s.Name} },
		}),
		keys: store.NewTable(store.Schema[key]{
			Name: "restapi_key", Key: regional("id"),
			KeyOf: func(k *key) []string { return []string{k.Account, k.Region, k.ID} },
			Indexes: []store.Index[key]{{
				Name: "value", Columns: []string{"hash"}, Unique: true, Carries: (*key).served,
				Of: func(k *key) [][]string { return [][]string{{k.Hash}} },
			}, {
				Name: "plan", Columns: []string{"account", "region", "plan"},
				Of: func(k *key) [][]string {
					rows := make([][]string, len(k.Plans))
					for i, id := range k.Plans {
						rows[i] = []string{k.Account, k.Region, id}
					}
					return rows
				},
			}},
		}),
		plans: store.NewTable(store.Schema[plan]{
			Name: "restapi_plan", Key: regional("id"),
			KeyOf: func(p *plan) []string { return []string{p.Account, p.Region, p.ID} },
		}),
		keyCount: store.NewCounter("restapi_key_count"), planChanges: newPlanChanges(), planRevisions: store.NewCounter("restapi_plan_revision"),
		settings: store.NewTable(store.Schema[settings]{
			Name: "restapi_settings", Key: regional(), Topic: topic,
			KeyOf: func(s *settings) []string { return []string{s.Account, s.Region} },
		}),
		certificates: store.NewTable(store.Schema[certificate]{
			Name: "restapi_certificate", Key: regional("id"), Topic: topic,
			KeyOf: func(c *certificate) []string { return []string{c.Account, c.Region, c.ID} },
		}),
		documentation: store.NewTable(store.Schema[documentation]{
			Name: "restapi_documentation", Key: regional("api", "name"),
			KeyOf: func(d *documentation) []string { return []string{d.Account, d.Region, d.API, d.Name} },
		}),
		domains: store.NewTable(store.Schema[domain]{
			Name: "restapi_domain", Key: regional("name"), Topic: topic,
			KeyOf: func(d *domain) []string { return []string{d.Account, d.Region, d.key()} },
			Indexes: []store.Index[domain]{{
				Name: "host", Columns: []string{"host"}, Unique: true,
				Of: func(d *domain) [][]string {
					if d.ID != "" { // a private name need not be the only one
						return nil
					}
					return [][]string{{d.Name}}
				},
			}},
		}),
		mappings: store.NewTable(store.Schema[mapping]{
			Name: "restapi_mapping", Key: regional("domain", "base"), Topic: topic,
			KeyOf: func(m *mapping) []string { return []string{m.Account, m.Region, m.Domain, m.BasePath} },
		}),
		links: store.NewTable(store.Schema[link]{
			Name: "restapi_link", Key: regional("id"), Topic: topic,
			KeyOf: func(l *link) []string { return []string{l.Account, l.Region, l.ID} },
		}),
		associations: store.NewTable(store.Schema[association]{
			Name: "restapi_association", Key: regional("domain", "source"), Topic: topic,
			KeyOf: func(a *association) []string { return []string{a.Account, a.Region, a.Domain, a.Source} },
		}),
		usage: store.NewCounter("restapi_usage"), days: store.NewCounter("restapi_usage_day"), extensions: store.NewCounter("restapi_usage_extension"),
	}
}

func (t tables) create(db *store.DB) error {
	return db.Create(t.definitions, t.deployments, t.stages, t.keys, t.plans, t.planChanges, t.settings, t.certificates, t.documentation, t.domains, t.mappings, t.links, t.associations)
}

// place is the account and region of a call.
type place struct{ account, region string }

func (s *Service) place(ctx context.Context) place {
	c := wire.CallFrom(ctx)
	account := c.Account
	if account == "" {
		account = s.cfg.Account
	}
	return place{account, c.Region}
}

func (p place) key(more ...string) []string { return append([]string{p.account, p.region}, more...) }

// definition reads an API.
func (s *Service) definition(tx *store.Tx, p place, id string) (definition, error) {
	d, err := s.tables.definitions.Get(tx, p.key(id)...)
	if errors.Is(err, store.ErrNotFound) {
		return d, notFound("Invalid API identifier specified %s:%s", p.account, id)
	}
	return d, err
}

// view runs fn on an API as it stands.
func (s *Service) view(ctx context.Context, id string, fn func(d *definition) error) error {
	return s.db.View(ctx, func(tx *store.Tx) error {
		d, err := s.definition(tx, s.place(ctx), id)
		if err != nil {
			return err
		}
		return fn(&d)
	})
}

// edit changes an API in one transaction. fn may run again. A role that the change brings in
// must be one that the caller may pass.
func (s *Service) edit(ctx context.Context, id string, fn func(d *definition) error) error {
	moved := false
	err := s.passing(ctx, func(p *passes) error {
		return s.db.Update(ctx, func(tx *store.Tx) error {
			d, err := s.definition(tx, s.place(ctx), id)
			if err != nil {
				return err
			}
			before, was := d.roles(), d.endpoint()
			if err := fn(&d); err != nil {
				return err
			}
			if err := p.check(before, d.roles()); err != nil {
				return err
			}
			if moved, err = s.moveEndpoint(tx, was, &d); err != nil {
				return err
			}
			return s.tables.definitions.Put(tx, d)
		})
	})
	if err != nil || !moved {
		return err
	}
	return s.PublishAll(ctx)
}

// amend reads a record, changes it and writes it back, in one transaction. change may run again.
func amend[T any](ctx context.Context, s *Service, read func(tx *store.Tx) (T, error), change func(tx *store.Tx, v *T) error, write func(tx *store.Tx, v T) error) (v T, err error) {
	err = s.db.Update(ctx, func(tx *store.Tx) (err error) {
		if v, err = read(tx); err != nil {
			return err
		}
		if err := change(tx, &v); err != nil {
			return err
		}
		return write(tx, v)
	})
	return v, err
}

// root returns the id of the root resource.
func (d *definition) root() string { return wire.Value(d.API.RootResourceId) }

// resource finds a resource of an API.
func (d *definition) resource(id string) (apigatewayapi.Resource, error) {
	r, ok := d.Resources[id]
	if !ok {
		return r, notFound("Invalid Resource identifier specified")
	}
	return r, nil
}

// method finds a method of a resource.
func (d *definition) method(resource, verb string) (apigatewayapi.Method, error) {
	r, err := d.resource(resource)
	if err != nil {
		return apigatewayapi.Method{}, err
	}
	m, ok := r.ResourceMethods[verb]
	if !ok {
		return m, notFound("Invalid Method identifier specified")
	}
	return m, nil
}

// setMethod writes a method back.
func (d *definition) setMethod(resource, verb string, m apigatewayapi.Method) {
	r := d.Resources[resource]
	if r.ResourceMethods == nil {
		r.ResourceMethods = map[string]apigatewayapi.Method{}
	}
	r.ResourceMethods[verb] = m
	d.Resources[resource] = r
}

// sorted returns the resources in the order of their paths.
func (d *definition) sorted() []apigatewayapi.Resource {
	out := make([]apigatewayapi.Resource, 0, len(d.Resources))
	for _, r := range d.Resources {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b apigatewayapi.Resource) int {
		return strings.Compare(wire.Value(a.Path), wire.Value(b.Path))
	})
	return out
}

// now is the time in whole seconds, as API Gateway's answers have it.
func (s *Service) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Second) }
