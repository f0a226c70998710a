package restapi

import (
	"context"
	"slices"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// pathPart is what a path segment may be: literal characters, or a parameter in braces.
var pathPart = lazyregexp.New(`^(\{[a-zA-Z0-9._\-:]+\+?\}|[a-zA-Z0-9._\-:$%!*'(),;@&=~]+)$`)

// CreateResource adds a path segment below a resource.
func (s *Service) CreateResource(ctx context.Context, in *apigatewayapi.CreateResourceRequest) (*apigatewayapi.Resource, error) {
	id, err := s.id(shortID)
	if err != nil {
		return nil, err
	}
	var out apigatewayapi.Resource
	err = s.edit(ctx, in.RestApiId, func(d *definition) error {
		if out, err = d.addResource(id, in.ParentId, in.PathPart); err == nil && len(d.Resources) > s.quota("resources") {
			err = exceeded("Resources", ofAPI)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// addResource adds a resource under the rules that siblings and greedy parameters have.
func (d *definition) addResource(id, parentID, part string) (apigatewayapi.Resource, error) {
	parent, err := d.resource(parentID)
	if err != nil {
		return parent, err
	}
	if err := d.mayHave(parent, part, id); err != nil {
		return parent, err
	}
	r := apigatewayapi.Resource{Id: &id, ParentId: parent.Id, PathPart: &part, Path: wire.String(join(wire.Value(parent.Path), part))}
	d.Resources[id] = r
	return r, nil
}

// mayHave checks that a parent may have a child with this path part.
func (d *definition) mayHave(parent apigatewayapi.Resource, part, id string) error {
	if !pathPart.MatchString(part) {
		return badRequest("Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning and the end.")
	}
	if greedy(wire.Value(parent.PathPart)) {
		return badRequest("Cannot create a child of a resource with a greedy path variable: %s", *parent.PathPart)
	}
	for _, r := range d.Resources {
		if r.ParentId == nil || *r.ParentId != *parent.Id || *r.Id == id {
			continue
		}
		if *r.PathPart == part {
			return conflict("Another resource with the same parent already has this name: %s", part)
		}
		if isParameter(*r.PathPart) && isParameter(part) {
			return badRequest("A sibling (%s) of this resource already has a variable path part -- only one is allowed", *r.PathPart)
		}
	}
	return nil
}

func isParameter(part string) bool { return strings.HasPrefix(part, "{") }
func greedy(part string) bool      { return strings.HasSuffix(part, "+}") }

func join(parent, part string) string { return strings.TrimSuffix(parent, "/") + "/" + part }

// GetResource returns a resource; embed=methods includes its methods.
func (s *Service) GetResource(ctx context.Context, in *apigatewayapi.GetResourceRequest) (*apigatewayapi.Resource, error) {
	var out apigatewayapi.Resource
	err := s.view(ctx, in.RestApiId, func(d *definition) error {
		r, err := d.resource(in.ResourceId)
		out = shown(r, in.Embed)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// GetResources lists an API's resources by path.
func (s *Service) GetResources(ctx context.Context, in *apigatewayapi.GetResourcesRequest) (*apigatewayapi.Resources, error) {
	out := &apigatewayapi.Resources{}
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		all := d.sorted()
		for i := range all {
			all[i] = shown(all[i], in.Embed)
		}
		out.Items, out.Position, err = cut(s.listing(ctx, in.RestApiId), all, func(r apigatewayapi.Resource) string { return *r.Path }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// shown is a resource as an answer has it: methods with their details only when asked for.
func shown(r apigatewayapi.Resource, embed []string) apigatewayapi.Resource {
	if slices.Contains(embed, "methods") || r.ResourceMethods == nil {
		return r
	}
	bare := make(map[string]apigatewayapi.Method, len(r.ResourceMethods))
	for verb := range r.ResourceMethods {
		bare[verb] = apigatewayapi.Method{}
	}
	r.ResourceMethods = bare
	return r
}

// UpdateResource renames or moves a resource with everything below it.
func (s *Service) UpdateResource(ctx context.Context, in *apigatewayapi.UpdateResourceRequest) (*apigatewayapi.Resource, error) {
	rules := resourceRules()
	var out apigatewayapi.Resource
	err := s.edit(ctx, in.RestApiId, func(d *definition) error {
		r, err := d.resource(in.ResourceId)
		if err != nil {
			return err
		}
		if err := rules.apply(&r, in.PatchOperations); err != nil {
			return err
		}
		if r.ParentId == nil || in.ResourceId == d.root() {
			return rootUnchanged(in.PatchOperations)
		}
		if err := d.move(r); err != nil {
			return err
		}
		out = shown(d.Resources[in.ResourceId], nil)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func rootUnchanged(ops []apigatewayapi.PatchOperation) error {
	for _, op := range ops {
		return badRequest("Root resource cannot update its %s.", strings.TrimPrefix(wire.Value(op.Path), "/"))
	}
	return nil
}

// move puts a changed resource in its new place and renames what is below it.
func (d *definition) move(r apigatewayapi.Resource) error {
	parent, err := d.resource(*r.ParentId)
	if err != nil {
		return err
	}
	for up := parent; up.ParentId != nil; up = d.Resources[*up.ParentId] {
		if *up.Id == *r.Id {
			return badRequest("Resources cannot be cyclical.")
		}
	}
	if err := d.mayHave(parent, *r.PathPart, *r.Id); err != nil {
		return err
	}
	d.Resources[*r.Id] = r
	d.rename(*r.Id, wire.Value(parent.Path))
	return nil
}

func (d *definition) rename(id, parentPath string) {
	r := d.Resources[id]
	r.Path = wire.String(join(parentPath, *r.PathPart))
	d.Resources[id] = r
	for child, c := range d.Resources {
		if c.ParentId != nil && *c.ParentId == id {
			d.rename(child, *r.Path)
		}
	}
}

// DeleteResource deletes a resource with everything below it.
func (s *Service) DeleteResource(ctx context.Context, in *apigatewayapi.DeleteResourceRequest) (*apigatewayapi.DeleteResourceOutput, error) {
	return &apigatewayapi.DeleteResourceOutput{}, s.edit(ctx, in.RestApiId, func(d *definition) error {
		if _, err := d.resource(in.ResourceId); err != nil {
			return err
		}
		if in.ResourceId == d.root() {
			return badRequest("Cannot delete root resource.")
		}
		d.drop(in.ResourceId)
		return nil
	})
}

func (d *definition) drop(id string) {
	delete(d.Resources, id)
	for child, c := range d.Resources {
		if c.ParentId != nil && *c.ParentId == id {
			d.drop(child)
		}
	}
}
