// Package stack deploys templates: CloudFormation's stacks and change sets, the SAM
// transform, and the handlers that create, update and delete each type of resource.
//
// It owns the tables of stacks, their resources, events, templates, change sets and
// exports. It owns no resource: handlers call the services that do through their
// in-process clients, as the caller who deploys, and are refused what he is refused.
//
// An operation is journalled. One that is interrupted, by kill -9 as well, is rolled
// back (a deletion: continued) when the server starts again; a stack is never left
// between two templates. A mistake that can be known from the template is reported
// with file, line, logical id and property before anything is created.
package stack
