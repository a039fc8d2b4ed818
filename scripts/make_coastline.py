#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Makes src/report/coastline.inc: the 0 m contour of etopo60.cdf (one degree relief, Debian package ferret-datasets).

    python3 scripts/make_coastline.py [etopo60.cdf] > src/report/coastline.inc

Marching squares on the cell centres with linear interpolation, segments chained into polylines, simplified
(Douglas-Peucker, 0.07 degree), contours around less than about one cell left out. Plain Python; the file is netCDF
classic, of which this reads what is needed.
"""
import struct
import sys

PATH = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/ferret-vis/data/etopo60.cdf"


def read_classic(path):
    """{name: list of floats} of the fixed-size variables of a netCDF classic file, with their dimension lengths."""
    data = open(path, "rb").read()
    assert data[:4] == b"CDF\x01", "not a netCDF classic file"
    at = 8  # magic, number of records

    def integer():
        nonlocal at
        at += 4
        return struct.unpack_from(">i", data, at - 4)[0]

    def name():
        nonlocal at
        length = integer()
        text = data[at : at + length].decode()
        at += (length + 3) // 4 * 4
        return text

    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8}

    def skip_attributes():
        nonlocal at
        integer()
        for _ in range(integer()):
            name()
            kind = integer()
            length = integer() * sizes[kind]
            at += (length + 3) // 4 * 4

    integer()
    dims = [(name(), integer())[1] for _ in range(integer())]
    skip_attributes()
    integer()
    out = {}
    for _ in range(integer()):
        key = name()
        shape = [dims[integer()] for _ in range(integer())]
        skip_attributes()
        kind = integer()
        integer()  # size
        begin = integer()
        count = 1
        for extent in shape:
            count *= extent
        out[key] = list(struct.unpack_from(">%d%s" % (count, {5: "f", 6: "d"}[kind]), data, begin))
    return out


def segments(longitudes, latitudes, field):
    """Line pieces between points on grid edges; a point is keyed by its edge, so that pieces can be chained exactly."""
    columns = len(longitudes) - 1

    def crossing(j0, i0, j1, i1):
        a, b = field[j0][i0], field[j1][i1]
        f = a / (a - b)
        point = (
            longitudes[i0] + f * (longitudes[i1] - longitudes[i0]),
            latitudes[j0] + f * (latitudes[j1] - latitudes[j0]),
        )
        return (j0, i0, j1, i1), point

    for j in range(len(latitudes) - 1):
        for i in range(columns):
            corners = [field[j][i] >= 0, field[j][i + 1] >= 0, field[j + 1][i + 1] >= 0, field[j + 1][i] >= 0]
            edges = []
            if corners[0] != corners[1]:
                edges.append(crossing(j, i, j, i + 1))
            if corners[1] != corners[2]:
                edges.append(crossing(j, i + 1, j + 1, i + 1))
            if corners[3] != corners[2]:
                edges.append(crossing(j + 1, i, j + 1, i + 1))
            if corners[0] != corners[3]:
                edges.append(crossing(j, i, j + 1, i))
            if len(edges) == 2:
                yield edges
            elif len(edges) == 4:  # a saddle: the mean decides whether the middle is land
                middle = field[j][i] + field[j][i + 1] + field[j + 1][i + 1] + field[j + 1][i] >= 0
                first, second = ((0, 1), (2, 3)) if middle == corners[0] else ((0, 3), (1, 2))
                yield [edges[first[0]], edges[first[1]]]
                yield [edges[second[0]], edges[second[1]]]


def chain(pieces):
    where, ends = {}, {}
    for (a, pa), (b, pb) in pieces:
        where[a], where[b] = pa, pb
        ends.setdefault(a, []).append(b)
        ends.setdefault(b, []).append(a)
    lines = []

    def walk(start):
        line = [start]
        while ends[line[-1]]:
            following = ends[line[-1]].pop(0)
            ends[following].remove(line[-1])
            line.append(following)
        lines.append([where[key] for key in line])

    for key in [k for k in sorted(ends) if len(ends[k]) == 1]:  # open lines: those that meet the border
        if ends[key]:
            walk(key)
    for key in sorted(ends):
        if ends[key]:
            walk(key)
    return lines


def simplify(line, tolerance):
    if len(line) < 3:
        return line
    (x0, y0), (x1, y1) = line[0], line[-1]
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    worst, index = -1.0, 0
    for k in range(1, len(line) - 1):
        x, y = line[k]
        if length == 0:
            distance = ((x - x0) ** 2 + (y - y0) ** 2) ** 0.5
        else:
            distance = abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length
        if distance > worst:
            worst, index = distance, k
    if worst <= tolerance:
        return [line[0], line[-1]]
    return simplify(line[: index + 1], tolerance)[:-1] + simplify(line[index:], tolerance)


def main():
    sys.setrecursionlimit(100000)
    file = read_classic(PATH)
    longitudes, latitudes, values = file["ETOPO60X"], file["ETOPO60Y"], file["ROSE"]
    columns = len(longitudes)
    rows = [values[j * columns : (j + 1) * columns] for j in range(len(latitudes))]
    shift = next(i for i, x in enumerate(longitudes) if x > 180)  # start at 180W, close the circle
    order = list(range(shift, columns)) + list(range(shift))
    x = [(longitudes[i] + 180) % 360 - 180 for i in order]
    x = [x[-1] - 360] + x + [x[0] + 360]
    field = [[row[order[-1]]] + [row[i] for i in order] + [row[order[0]]] for row in rows]
    field = [[value if value != 0 else 0.5 for value in row] for row in field]  # exactly 0 counts as land

    lines = []
    for line in chain(segments(x, latitudes, field)):
        width = max(p[0] for p in line) - min(p[0] for p in line)
        height = max(p[1] for p in line) - min(p[1] for p in line)
        if line[0] == line[-1] and width < 1 and height < 1:
            continue
        line = [(max(-180.0, min(180.0, px)), py) for px, py in line]
        points = []
        for px, py in simplify(line, 0.07):
            point = (round(px * 10), round(py * 10))
            if not points or points[-1] != point:
                points.append(point)
        if points[0] == points[-1] and len(points) < 4:  # nothing inside
            continue
        if len(points) > 1 and not all(abs(p[0]) == 1800 for p in points):
            lines.append(points)
    lines.sort(key=lambda points: -len(points))

    out = ["// Made by scripts/make_coastline.py from etopo60.cdf: do not edit.", "// {points, x, y, x, y, ...} a line, 0.1 degree"]
    text = ""
    for points in lines:
        numbers = [len(points)] + [number for point in points for number in point]
        for number in numbers:
            piece = "%d," % number
            if len(text) + len(piece) > 118:
                out.append(text)
                text = ""
            text += piece
    out.append(text)
    print("\n".join(out))


main()
