"""Hypothesis strategies for what the specification speaks of: manifests, meshes, tables, clusters, subsets, patterns.

They draw small worlds in which things meet: for testing another implementation against this one, against a proxy, or
against laws of its own. What is drawn may change from version to version; each module says its bounds and why they are
enough. Needs the extra `conformance`.
"""
