package restapi

import (
	"context"
	"errors"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// CreateDocumentationPart documents one place of an API.
func (s *Service) CreateDocumentationPart(ctx context.Context, in *apigatewayapi.CreateDocumentationPartRequest) (*apigatewayapi.DocumentationPart, error) {
	id, err := s.id(shortID)
	if err != nil {
		return nil, err
	}
	p := apigatewayapi.DocumentationPart{Id: &id, Properties: &in.Properties}
	err = s.edit(ctx, in.RestApiId, func(d *definition) error {
		l, err := normalLocation(in.Location)
		if err != nil {
			return err
		}
		if _, err := properties(in.Properties); err != nil {
			return err
		}
		p.Location = &l
		return d.addPart(p)
	})
	if err != nil {
		return nil, err
	}
	return &p, nil
}

func (d *definition) part(id string) (apigatewayapi.DocumentationPart, error) {
	p, ok := d.Documentation[id]
	if !ok {
		return p, notFound("Invalid Documentation part identifier specified")
	}
	return p, nil
}

// GetDocumentationPart returns what is said of one place.
func (s *Service) GetDocumentationPart(ctx context.Context, in *apigatewayapi.GetDocumentationPartRequest) (*apigatewayapi.DocumentationPart, error) {
	var out apigatewayapi.DocumentationPart
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		out, err = d.part(in.DocumentationPartId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// GetDocumentationParts lists an API's documentation, or the places that have none.
func (s *Service) GetDocumentationParts(ctx context.Context, in *apigatewayapi.GetDocumentationPartsRequest) (*apigatewayapi.DocumentationParts, error) {
	out := &apigatewayapi.DocumentationParts{}
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		list := d.parts()
		if in.LocationStatus == apigatewayapi.LocationStatusTypeUNDOCUMENTED {
			list = d.undocumented()
		}
		list = slices.DeleteFunc(list, func(p apigatewayapi.DocumentationPart) bool {
			l := p.Location
			return in.Type != "" && l.Type != in.Type || in.Path != nil && wire.Value(l.Path) != *in.Path ||
				in.NameQuery != nil && !strings.Contains(wire.Value(l.Name), *in.NameQuery)
		})
		out.Items, out.Position, err = cut(s.listing(ctx, in.RestApiId, string(in.LocationStatus), string(in.Type), wire.Value(in.Path), wire.Value(in.NameQuery)), list, func(p apigatewayapi.DocumentationPart) string { return locationKey(*p.Location) }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// UpdateDocumentationPart changes what is said of one place.
func (s *Service) UpdateDocumentationPart(ctx context.Context, in *apigatewayapi.UpdateDocumentationPartRequest) (*apigatewayapi.DocumentationPart, error) {
	rules := partRules()
	var out apigatewayapi.DocumentationPart
	err := s.edit(ctx, in.RestApiId, func(d *definition) (err error) {
		if out, err = d.part(in.DocumentationPartId); err != nil {
			return err
		}
		if err := rules.apply(&out, in.PatchOperations); err != nil {
			return err
		}
		if _, err := properties(wire.Value(out.Properties)); err != nil {
			return err
		}
		d.Documentation[in.DocumentationPartId] = out
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// DeleteDocumentationPart removes what is said of one place. Versions keep it.
func (s *Service) DeleteDocumentationPart(ctx context.Context, in *apigatewayapi.DeleteDocumentationPartRequest) (*apigatewayapi.DeleteDocumentationPartOutput, error) {
	return &apigatewayapi.DeleteDocumentationPartOutput{}, s.edit(ctx, in.RestApiId, func(d *definition) error {
		if _, err := d.part(in.DocumentationPartId); err != nil {
			return err
		}
		delete(d.Documentation, in.DocumentationPartId)
		return nil
	})
}

// ImportDocumentationParts takes the documentation of an API document, and nothing else of it.
func (s *Service) ImportDocumentationParts(ctx context.Context, in *apigatewayapi.ImportDocumentationPartsRequest) (*apigatewayapi.DocumentationPartIds, error) {
	doc, err := parseOpenAPI(in.Body)
	if err != nil {
		return nil, err
	}
	out := &apigatewayapi.DocumentationPartIds{}
	err = s.edit(ctx, in.RestApiId, func(d *definition) error {
		if in.Mode == apigatewayapi.PutModeoverwrite {
			d.Documentation = nil
		}
		w := &importer{s: s, d: d, doc: doc}
		ids, err := w.parts()
		if err != nil {
			return err
		}
		if len(w.errors) > 0 {
			return badRequest("Errors found during import:\n\t%s", strings.Join(w.errors, "\n\t"))
		}
		out.Ids, out.Warnings = ids, w.warnings
		return failing(w.warnings, in.FailOnWarnings)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// CreateDocumentationVersion keeps an API's documentation as it stands, under a name, and
// publishes it with a stage where one is named.
func (s *Service) CreateDocumentationVersion(ctx context.Context, in *apigatewayapi.CreateDocumentationVersionRequest) (*apigatewayapi.DocumentationVersion, error) {
	if in.DocumentationVersion == "" || len(in.DocumentationVersion) > 64 {
		return nil, badRequest("Invalid Documentation version specified")
	}
	p := s.place(ctx)
	v := apigatewayapi.DocumentationVersion{Version: &in.DocumentationVersion, Description: in.Description, CreatedDate: wire.Ptr(s.now())}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		d, err := s.definition(tx, p, in.RestApiId)
		if err != nil {
			return err
		}
		all, err := s.tables.documentation.List(tx, store.Query{Prefix: p.key(in.RestApiId)})
		if err != nil {
			return err
		}
		if len(all) >= maxDocumentationVersions {
			return exceeded("Documentation Versions", ofAPI)
		}
		if slices.ContainsFunc(all, func(o documentation) bool { return o.Name == in.DocumentationVersion }) {
			return conflict("Documentation version already exists")
		}
		if name := wire.Value(in.StageName); name != "" {
			st, err := s.stage(tx, p, in.RestApiId, name)
			if err != nil {
				return err
			}
			st.Stage.DocumentationVersion, st.Stage.LastUpdatedDate = &in.DocumentationVersion, wire.Ptr(s.now())
			if err := s.tables.stages.Put(tx, st); err != nil {
				return err
			}
		}
		return s.tables.documentation.Insert(tx, documentation{
			Account: p.account, Region: p.region, API: in.RestApiId, Name: in.DocumentationVersion, Version: v, Parts: d.parts(),
		})
	})
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// documentationVersion reads a version with its parts.
func (s *Service) documentationVersion(tx *store.Tx, p place, api, name string) (documentation, error) {
	if _, err := s.definition(tx, p, api); err != nil {
		return documentation{}, err
	}
	v, err := s.tables.documentation.Get(tx, p.key(api, name)...)
	if errors.Is(err, store.ErrNotFound) {
		return v, notFound("Invalid Documentation version specified")
	}
	return v, err
}

// documented checks the version that a stage is about to name.
func (s *Service) documented(tx *store.Tx, p place, api string, was, is *string) error {
	if wire.Value(is) == "" || wire.Value(is) == wire.Value(was) {
		return nil
	}
	_, err := s.documentationVersion(tx, p, api, *is)
	return err
}

// GetDocumentationVersion returns a version, without what it says.
func (s *Service) GetDocumentationVersion(ctx context.Context, in *apigatewayapi.GetDocumentationVersionRequest) (*apigatewayapi.DocumentationVersion, error) {
	var out documentation
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		out, err = s.documentationVersion(tx, s.place(ctx), in.RestApiId, in.DocumentationVersion)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out.Version, nil
}

// GetDocumentationVersions lists an API's versions by their names.
func (s *Service) GetDocumentationVersions(ctx context.Context, in *apigatewayapi.GetDocumentationVersionsRequest) (*apigatewayapi.DocumentationVersions, error) {
	out := &apigatewayapi.DocumentationVersions{}
	p := s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := s.definition(tx, p, in.RestApiId); err != nil {
			return err
		}
		all, err := s.tables.documentation.List(tx, store.Query{Prefix: p.key(in.RestApiId)})
		if err != nil {
			return err
		}
		list := make([]apigatewayapi.DocumentationVersion, len(all))
		for i, v := range all {
			list[i] = v.Version
		}
		out.Items, out.Position, err = cut(s.listing(ctx, in.RestApiId), list, func(v apigatewayapi.DocumentationVersion) string { return *v.Version }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// UpdateDocumentationVersion changes a version's description.
func (s *Service) UpdateDocumentationVersion(ctx context.Context, in *apigatewayapi.UpdateDocumentationVersionRequest) (*apigatewayapi.DocumentationVersion, error) {
	rules := descriptionRules()
	out, err := amend(ctx, s, func(tx *store.Tx) (documentation, error) {
		return s.documentationVersion(tx, s.place(ctx), in.RestApiId, in.DocumentationVersion)
	}, func(tx *store.Tx, out *documentation) error {
		return rules.apply(&out.Version, in.PatchOperations)
	}, s.tables.documentation.Put)
	if err != nil {
		return nil, err
	}
	return &out.Version, nil
}

// DeleteDocumentationVersion removes a version. A stage that names it exports no documentation.
func (s *Service) DeleteDocumentationVersion(ctx context.Context, in *apigatewayapi.DeleteDocumentationVersionRequest) (*apigatewayapi.DeleteDocumentationVersionOutput, error) {
	p := s.place(ctx)
	return &apigatewayapi.DeleteDocumentationVersionOutput{}, s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.documentationVersion(tx, p, in.RestApiId, in.DocumentationVersion); err != nil {
			return err
		}
		return s.tables.documentation.Delete(tx, p.key(in.RestApiId, in.DocumentationVersion)...)
	})
}
